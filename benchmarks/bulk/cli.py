"""The command `deephypebot bench bulk`."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.console import Console

from foundation.result_line import finish

_FACTORS: Final = (1, 4, 16)
_QUICK_SONGS: Final = 60


def bench_bulk(
    model: Annotated[
        Path | None,
        typer.Argument(
            help="An archive (.mar) or the folder of a bundle; without it, random weights of a preset's sizes."
        ),
    ] = None,
    *,
    preset: Annotated[str, typer.Option(help="Preset for the sizes of random weights.")] = "reference",
    number: Annotated[
        int, typer.Option("--songs", min=1, help="Songs of the smallest file; the others have 4 and 16 times as many.")
    ] = 2000,
    num_samples: Annotated[int, typer.Option("--num-samples", "-n", min=1, help="Samples for each song.")] = 5,
    best_of: Annotated[
        int, typer.Option(min=0, help="Candidates for each sample; 0 for the archive's own number.")
    ] = 0,
    quick: Annotated[bool, typer.Option("--quick", help=f"{_QUICK_SONGS} songs in the smallest file.")] = False,
    json_path: Annotated[Path | None, typer.Option("--json", help="Write the figures to this file as well.")] = None,
) -> None:
    """Write samples for files of songs, 1, 4 and 16 times as large, and compare speed and texts with the gateway's.

    Example: deephypebot bench bulk model_store/lcgan_1.mar
    """
    from benchmarks.bulk.measuring import measure, to_document
    from benchmarks.serving.archive import bring_archive
    from benchmarks.serving.calls import Asked
    from benchmarks.serving.plan import Serving
    from bulk.models import Model, find_model
    from foundation.processors import num_processors
    from serving.registry.client import Registry
    from serving.workers.cores import default_workers

    def no_registry() -> Registry:
        raise RuntimeError("an archive's file needs no registry")

    errors = Console(stderr=True)
    workers = default_workers()
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
            serving=Serving(
                workers=workers,
                threads=max(1, num_processors() // workers),
                batch_size=archive.batch_size,
                delay_ms=archive.delay_ms,
            ),
            note=lambda text: errors.print(text, highlight=False),
        )
    finish("bulk", to_document(figures), json_path, digits=4)
