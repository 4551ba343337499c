"""`deephypebot corpus`: from posts to a corpus."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from foundation.parallel.choosing import EngineName, choose_engine

app_corpus = typer.Typer(no_args_is_help=True, help="Make training corpora from posts.")


@app_corpus.callback()
def _corpus() -> None:
    """Make training corpora from posts."""


@app_corpus.command()
def build(
    posts: Annotated[list[Path], typer.Argument(help="Files of posts: .jsonl, .json, .csv (.gz each) or .parquet.")],
    *,
    out: Annotated[Path, typer.Option(help="Folder of the corpus; an existing corpus is replaced.")],
    catalog: Annotated[Path | None, typer.Option(help="Table of artists and genres, for posts without genres.")] = None,
    text_column: Annotated[
        str | None, typer.Option(help="Column of a post's text; by default masked_content, text or content.")
    ] = None,
    encoding: Annotated[
        str | None, typer.Option(help="Encoding of the files, such as cp1252; by default UTF-8.")
    ] = None,
    min_posts_per_genre: Annotated[
        int, typer.Option(min=1, help="Posts that a label needs; rarer genres back off to coarser ones.")
    ] = 50,
    max_genres: Annotated[int, typer.Option(min=1, help="Maximum number of labels; the most frequent are kept.")] = 300,
    min_words: Annotated[int, typer.Option(min=1, help="Minimum words of a sentence.")] = 6,
    max_words: Annotated[int, typer.Option(min=1, help="Maximum words of a sentence.")] = 40,
    max_other_names: Annotated[
        int, typer.Option(min=0, help="Maximum number of names in a sentence, without those of its own song.")
    ] = 1,
    max_openings: Annotated[
        int, typer.Option(min=1, help="Maximum number of sentences with the same first four words.")
    ] = 20,
    jobs: Annotated[int, typer.Option(min=0, help="Cleaning processes, or actors of Ray; 0 for one per core.")] = 0,
    engine: Annotated[
        EngineName,
        typer.Option("--engine", help="Processes of this machine (local), or actors of a Ray cluster (ray)."),
    ] = EngineName.LOCAL,
    address: Annotated[
        str,
        typer.Option(
            "--address",
            help="Address of the Ray cluster, such as 10.0.0.1:6379.",
            show_default="RAY_ADDRESS, or Ray on this machine",
        ),
    ] = "",
) -> None:
    """Clean posts, split them into sentences and write a corpus with its funnel.

    After an interruption, the same command continues where it stopped.

    Examples:
        deephypebot corpus build posts.jsonl --out corpus

        deephypebot corpus build posts.parquet --out corpus --engine ray --address 10.0.0.1:6379
    """
    from foundation.processors import num_processors
    from foundation.terminal import show
    from training.console import stage_bars, told_when_stopped
    from training.corpus import PLOT_FILE, CorpusSettings, build_corpus
    from training.corpus.chart import plot_funnel
    from training.corpus.posts import Reading
    from training.corpus.sentences import SentenceLimits

    if max_words < min_words:
        raise typer.BadParameter(f"must be at least --min-words ({min_words})", param_hint="--max-words")
    if address and engine is EngineName.LOCAL:
        raise typer.BadParameter("it is the address of a Ray cluster: add --engine ray", param_hint="--address")
    settings = CorpusSettings(
        limits=SentenceLimits(min_words=min_words, max_words=max_words, max_other_names=max_other_names),
        min_posts_per_genre=min_posts_per_genre,
        max_genres=max_genres,
        max_openings=max_openings,
    )
    console = Console()
    stopped = told_when_stopped(console, "the same command continues where it stopped")
    with stopped, stage_bars(console) as bars:
        clean = bars.watch("clean posts")
        funnel = build_corpus(
            posts,
            out,
            settings=settings,
            catalog=catalog,
            reading=Reading(text_column=text_column, encoding=encoding),
            jobs=jobs or num_processors(),
            engine=None if engine is EngineName.LOCAL else choose_engine(engine, workers=jobs, address=address),
            progress=lambda done, total: clean(done, total or 0, f"{done / 1e6:.1f} MB read"),
            begin=lambda step: bars.watch(step)(0, 0, ""),
        )
        plot_funnel(funnel, out / PLOT_FILE)
    show(funnel.table(), console=console)
    counts = ", ".join(f"{count:,} {split}" for split, count in funnel.splits.items())
    console.print(f"{out}: {counts} sentences, {funnel.genres['labels']} genres", soft_wrap=True, highlight=False)
    for warning in funnel.warnings():
        console.print(f"warning: {warning}", style="yellow", soft_wrap=True)


@app_corpus.command()
def text(
    corpus: Annotated[Path, typer.Argument(help="Folder of the corpus.")],
    *,
    out: Annotated[Path, typer.Option(help="File to write; gzipped if its name ends in .gz.")],
    split: Annotated[str, typer.Option(help="Split to write: train, valid or test.")] = "train",
) -> None:
    """Write a corpus's sentences as plain text, one per line.

    The bot flags commentary that copies these sentences: set `screen.sentences` to the file.

    Example: deephypebot corpus text corpus --out sentences.txt.gz
    """
    from training.corpus.plain import write_text

    count = write_text(corpus, out, split=split)
    Console().print(f"{out}: {count:,} sentences", soft_wrap=True, highlight=False)
