"""The command `deephypebot bench replay`."""

from __future__ import annotations

import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from benchmarks.serving.options import BestOfOption, ModelArgument, PresetOption
from foundation.result_line import finish

_QUICK_EXPOSURES = 64


def bench_replay(
    model: ModelArgument = None,
    *,
    preset: PresetOption = "reference",
    number: Annotated[int, typer.Option("--exposures", min=1, help="Requests that are served and replayed.")] = 10_000,
    num_samples: Annotated[int, typer.Option("--num-samples", "-n", min=1, help="Samples per request.")] = 2,
    best_of: BestOfOption = 0,
    quick: Annotated[bool, typer.Option("--quick", help=f"{_QUICK_EXPOSURES} exposures only.")] = False,
    json_path: Annotated[Path | None, typer.Option("--json", help="Write the figures to this file as well.")] = None,
) -> None:
    """Serve requests with an archive, replay its exposures, and compare all texts and seeds bit by bit.

    Example: deephypebot bench replay model_store/lcgan_1.mar
    """
    from benchmarks.experiments.replaying import measure
    from benchmarks.serving.archive import bring_archive, serving_of

    errors = Console(stderr=True)
    with tempfile.TemporaryDirectory(prefix="bench-replay-") as folder:
        archive = bring_archive(model, preset, Path(folder))
        figures = measure(
            archive,
            Path(folder),
            serving=serving_of(archive),
            exposures=_QUICK_EXPOSURES if quick else number,
            samples=num_samples,
            best_of=best_of or None,
            note=lambda text: errors.print(text, highlight=False),
        )
    finish("replay", asdict(figures), json_path, digits=4)
