"""The command `deephypebot bench verdicts`."""

from __future__ import annotations

import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from foundation.result_line import finish

_QUICK_VERDICTS = 300


def verdicts(
    *,
    number: Annotated[int, typer.Option("--verdicts", min=100, help="Verdicts in the bot's store.")] = 10_000,
    samples: Annotated[int, typer.Option(min=1, help="Samples of a song, of two versions in turn.")] = 6,
    server: Annotated[bool, typer.Option(help="Send to a tracking server on loopback instead of a database.")] = False,
    quick: Annotated[bool, typer.Option(help=f"{_QUICK_VERDICTS} verdicts only.")] = False,
    json_path: Annotated[Path | None, typer.Option("--json", help="Write the figures to this file as well.")] = None,
) -> None:
    """Measure the sync of verdicts to MLflow: all of them, none, a hundred changed ones; and log_feedback beside it.

    Example: deephypebot bench verdicts --server
    """
    from benchmarks.experiments.verdicts import measure

    with tempfile.TemporaryDirectory() as folder:
        figures = measure(Path(folder), verdicts=_QUICK_VERDICTS if quick else number, samples=samples, server=server)
    finish("verdicts", asdict(figures), json_path, digits=2)
