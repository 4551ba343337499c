"""The commands `deephypebot bot bench`."""

from __future__ import annotations

import tempfile
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from bot.domain.rates import Rate
from bot.entrypoints.display import visible
from foundation.result_line import finish

app_bench = typer.Typer(no_args_is_help=True, help="Benchmarks of the bot's parts.")

JsonPath = Annotated[Path | None, typer.Option("--json", help="Write the figures to this file as well.")]
_QUICK_TEXTS = 50
_QUICK_ARTISTS = 2_000
_QUICK_TWEETS = 20_000
_QUICK_DRAIN = 100
_RATES = ("precision", "recall", "texts_exact", "silent_where_no_song")


@app_bench.callback()
def _bench() -> None:
    """Keep the commands' names, which typer drops from a group of one."""


@app_bench.command("parse")
def parse(
    labels: Annotated[Path, typer.Option(help='JSON lines of {"text", "songs": [{"artists", "title"}]}.')],
    *,
    catalog: Annotated[
        Path | None, typer.Option(help="Artists and genres; the parser is measured with and without them.")
    ] = None,
    show: Annotated[bool, typer.Option(help="List the texts on which parser and labels differ.")] = False,
    quick: Annotated[bool, typer.Option(help=f"The first {_QUICK_TEXTS} texts only.")] = False,
    json_path: JsonPath = None,
) -> None:
    """Measure the song parser against labels: precision, recall, milliseconds a text.

    A song counts as found if its artists, in any order, and its title match the label, regardless of case, accents and
    punctuation. Intervals are Wilson's, at 95%.

    Example: deephypebot bot bench parse --labels labels.jsonl --catalog catalog.jsonl.gz
    """
    from benchmarks.bot.parsing import Score, read_labels, score
    from bot.adapters.lookups.catalog import FileCatalog

    labelled = read_labels(labels)[: _QUICK_TEXTS if quick else None]
    scores: dict[str, Score] = {"rules alone": score(labelled)}
    if catalog is not None:
        table = FileCatalog(catalog)
        scores["with a catalog"] = score(labelled, is_artist=lambda name: table.find(name) is not None)
    console = Console(stderr=True)
    figures = {name: each.figures() for name, each in scores.items()}
    console.print(_table(figures))
    if show:
        for miss in list(scores.values())[-1].misses:
            for line in miss.lines():
                console.print(visible(line), soft_wrap=True, highlight=False, markup=False)
    finish("bot parse", {name.replace(" ", "_"): each for name, each in figures.items()}, json_path)


@app_bench.command("genres")
def genres(
    labels: Annotated[Path, typer.Option(help="Genres that a model knows: a genres.json or an archive.")],
    catalog: Annotated[Path, typer.Option(help="Artists and genres.")],
    *,
    genre_map: Annotated[Path | None, typer.Option("--map", help="Places of genres: CSV of genre, x, y.")] = None,
    quick: Annotated[bool, typer.Option(help=f"{_QUICK_ARTISTS} artists only.")] = False,
    json_path: JsonPath = None,
) -> None:
    """Measure each way to the nearest known genre, on artists that the way has not seen.

    Example: deephypebot bot bench genres --labels corpus/genres.json --catalog catalog.jsonl.gz --map map.csv
    """
    from benchmarks.bot.nearest import measure
    from bot.adapters.lookups.catalog import FileCatalog
    from bot.adapters.lookups.genre_files import read_labels, read_map

    entries = FileCatalog(catalog).entries()
    artists = ((entry.name, entry.genres) for entry in islice(entries, _QUICK_ARTISTS if quick else None))
    figures = measure(read_labels(labels), artists, read_map(genre_map) if genre_map is not None else None)
    table = Table("way", "share of artists", "genres covered", title="Nearest known genre", box=None, pad_edge=False)
    for way, row in figures.items():
        if isinstance(row, dict):
            table.add_row(way.replace("_", " "), *("-" if value is None else f"{value:.3f}" for value in row.values()))
    Console(stderr=True).print(table)
    finish("bot genres", figures, json_path)


@app_bench.command("nearest")
def nearest(
    labels: Annotated[Path, typer.Option(help="Genres that a model knows: a genres.json or an archive.")],
    catalog: Annotated[Path, typer.Option(help="Artists and genres.")],
    artist: Annotated[list[str], typer.Option(help="Artist to show; may be given several times.")],
    *,
    genre_map: Annotated[Path | None, typer.Option("--map", help="Places of genres: CSV of genre, x, y.")] = None,
    json_path: JsonPath = None,
) -> None:
    """Show the genres of artists, and those that a model would be asked for instead.

    Example: deephypebot bot bench nearest --labels genres.json --catalog catalog.jsonl.gz --artist "Ona Vell"
    """
    from benchmarks.bot.nearest import asked_for
    from bot.adapters.lookups.catalog import FileCatalog
    from bot.adapters.lookups.genre_files import read_labels, read_map

    places = read_map(genre_map) if genre_map is not None else None
    rows = asked_for(artist, read_labels(labels), FileCatalog(catalog), places)
    table = Table("artist", "known genres", "asked for", box=None, pad_edge=False)
    for row in rows:
        known = "not in the catalog" if row.known is None else ", ".join(row.known)
        table.add_row(
            visible(row.artist + (" (several?)" if row.namesakes else "")),
            visible(known),
            visible(", ".join(row.asked)),
        )
    Console(stderr=True).print(table)
    finish("bot nearest", {"artists": [asdict(row) for row in rows]}, json_path)


@app_bench.command("state")
def state(
    *,
    tweets: Annotated[int, typer.Option(min=1_000, help="Tweets that the database holds.")] = 1_000_000,
    folder: Annotated[Path | None, typer.Option(help="Folder of the database; without it a temporary one.")] = None,
    quick: Annotated[bool, typer.Option(help=f"{_QUICK_TWEETS} tweets only.")] = False,
    json_path: JsonPath = None,
) -> None:
    """Measure the commands' queries on a database of a year: a million tweets, a third of them with songs.

    Example: deephypebot bot bench state
    """
    from benchmarks.bot.state import measure

    console = Console(stderr=True)
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as name, console.status("filling and measuring"):
        figures = measure(Path(name) / "bot.db", tweets=_QUICK_TWEETS if quick else tweets)
    table = Table("", "ms, median", title=f"{figures.tweets:,} tweets, {figures.candidates:,} candidates", box=None)
    for step, milliseconds in figures.milliseconds.items():
        table.add_row(step, f"{milliseconds:.1f}")
    copies = {"backup": figures.backup_s, "restore": figures.restore_s, "posts compared": figures.compare_s}
    for step, seconds in copies.items():
        table.add_row(step, f"{1000 * seconds:,.0f}")
    console.print(table)
    finish("bot state", asdict(figures), json_path)


@app_bench.command("drain")
def drain(
    *,
    tweets: Annotated[int, typer.Option(min=100, help="Tweets to drain.")] = 1_000,
    target: Annotated[str | None, typer.Option(envvar="DEEPHYPEBOT_TARGET", help="Address of the gateway.")] = None,
    quick: Annotated[bool, typer.Option(help=f"{_QUICK_DRAIN} tweets only.")] = False,
    json_path: JsonPath = None,
) -> None:
    """Measure the time to drain queued tweets against the same requests sent by the client alone, and the memory.

    Example: deephypebot bot bench drain --target 127.0.0.1:50051
    """
    from benchmarks.bot.drain import measure
    from bot.settings import load

    with tempfile.TemporaryDirectory() as folder:
        # The feed is empty, because the tweets are queued already.
        feed = Path(folder) / "feed.jsonl"
        feed.touch()
        settings = load(workspace=Path(folder), feed=feed, target=target, song_days=0.0)
        figures = measure(settings, tweets=_QUICK_DRAIN if quick else tweets)
    finish("bot drain", asdict(figures), json_path)


def _table(figures: dict[str, dict[str, dict[str, int]]]) -> Table:
    table = Table(title="Song parser", box=None, pad_edge=False)
    table.add_column("")
    for name in figures:
        table.add_column(name, justify="right")
    for rate in _RATES:
        cells = (Rate(count=each[rate]["count"], total=each[rate]["total"]) for each in figures.values())
        table.add_row(rate.replace("_", " "), *(f"{cell:.1%}" for cell in cells))
    return table
