"""The command `deephypebot bench bulk`."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.console import Console

from benchmarks.serving.options import BestOfOption, ModelArgument, PresetOption
from foundation.result_line import finish

_FACTORS: Final = (1, 4, 16)
_QUICK_SONGS: Final = 60


def bench_bulk(
    model: ModelArgument = None,
    *,
    preset: PresetOption = "reference",
    number: Annotated[
        int, typer.Option("--songs", min=1, help="Songs of the smallest file; the others have 4 and 16 times as many.")
    ] = 2000,
    num_samples: Annotated[int, typer.Option("--num-samples", "-n", min=1, help="Samples for each song.")] = 5,
    best_of: BestOfOption = 0,
    quick: Annotated[bool, typer.Option("--quick", help=f"{_QUICK_SONGS} songs in the smallest file.")] = False,
    json_path: Annotated[Path | None, typer.Option("--json", help="Write the figures to this file as well.")] = None,
) -> None:
    """Write samples for files of songs, 1, 4 and 16 times as large, and compare speed and texts with the gateway's.

    Example: deephypebot bench bulk model_store/lcgan_1.mar
    """
    from benchmarks.bulk.measuring import measure, to_document
    from benchmarks.serving.archive import bring_archive, serving_of
    from benchmarks.serving.calls import Asked
    from bulk.models import Model, find_model
    from serving.registry.client import Registry

    def no_registry() -> Registry:
        raise RuntimeError("an archive's file needs no registry")

    errors = Console(stderr=True)
    with tempfile.TemporaryDirectory(prefix="bench-bulk-") as folder:
        archive = bring_archive(model, preset, Path(folder))
        bundle = Path(folder, "bundle")
        bundle.mkdir()
        found: Model = find_model(
            str(archive.path), bundle, registry=no_registry, model_store=Path(folder), trusted_keys=None
        )
        figures = measure(
            archive,
            found,
            Path(folder),
            asked=Asked(samples=num_samples),
            best_of=best_of or None,
            sizes=[factor * (_QUICK_SONGS if quick else number) for factor in _FACTORS],
            serving=serving_of(archive),
            note=lambda text: errors.print(text, highlight=False),
        )
    finish("bulk", to_document(figures), json_path, digits=4)
