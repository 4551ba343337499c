"""Commands `deephypebot blind`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app_blind = typer.Typer(help="Sheets for blind readers, and sums of ratings.")


@app_blind.command()
def prepare(
    folder: Annotated[Path, typer.Argument(help="Folder for the sheet, the readers' instructions and the key.")],
    *,
    source: Annotated[
        list[str] | None,
        typer.Option(help="NAME=FILE: sentences of a source, one a line or JSON lines with text; repeatable."),
    ] = None,
    corpus: Annotated[
        Path | None, typer.Option(help="Corpus whose held-out sentences are the source of real text.")
    ] = None,
    each: Annotated[int, typer.Option(help="Sentences of each source.")] = 60,
    seed: Annotated[int, typer.Option(help="Seed of the draw and of the order.")] = 1,
) -> None:
    """Mix sentences of several sources into a sheet for readers, who see no source.

    Give readers sheet.txt and readers.md alone: key/key.json names the sources. `deephypebot evaluate --sheet` makes a
    sheet of the rows of a report.

        deephypebot blind prepare sheet --corpus workspace/corpus --source lcgan=samples.txt
    """
    from rich.console import Console

    from training.corpus import load_corpus
    from training.evaluation.console import parse_named_files
    from training.evaluation.readers.agreement import REAL_SOURCES
    from training.evaluation.readers.sheet import SHEET_FILE, mix, read_sentences, write_sheet

    files = parse_named_files("--source", source or [])
    sources = {name: read_sentences(path) for name, path in files.items()}
    if corpus is not None:
        sources = {REAL_SOURCES[0]: load_corpus(corpus).part("test").texts, **sources}
    sheet = mix(sources, each=each, seed=seed)
    write_sheet(sheet, folder)
    shown = ", ".join(f"{count} of {name}" for name, count in sheet.counts().items())
    Console().print(f"wrote {folder / SHEET_FILE}: {shown}", soft_wrap=True, highlight=False)


@app_blind.command("sum")
def sum_up(
    ratings: Annotated[
        list[Path],
        typer.Argument(help="A key (.json) and the readers' tables, one a reader; or JSON lines (.jsonl)."),
    ],
    *,
    json_path: Annotated[Path | None, typer.Option("--json", help="Also write the sums to this file.")] = None,
) -> None:
    """Sum up ratings: grades and acceptance of each source, and the agreement of readers.

    Each reader rates each number once; a table with missing or doubled numbers is refused. `deephypebot evaluate
    --ratings` shows as well which figures agree with the readers.

        deephypebot blind sum sheet/key/key.json anna.tsv ben.tsv
    """
    from dataclasses import asdict

    from foundation.terminal import show
    from training.evaluation.readers.agreement import by_source, kappas
    from training.evaluation.readers.ratings import read_ratings
    from training.evaluation.readers.tables import sources_table
    from training.files import finite, write_json

    found = read_ratings(ratings)
    sources, agreed = by_source(found), kappas(found)
    show(sources_table(sources, agreed))
    if json_path is not None:
        figures = {"sources": [asdict(each) for each in sources], "kappas": [asdict(each) for each in agreed]}
        write_json(json_path, {"name": "blind", "figures": finite(figures)})
