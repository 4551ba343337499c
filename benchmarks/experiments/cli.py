"""Command `deephypebot bench experiments`."""

from __future__ import annotations

from typing import Annotated

import typer

from benchmarks.training.options import JsonOption, QuickOption

_QUICK_RUNS = 100


def bench_experiments(
    *,
    runs: Annotated[int, typer.Option(min=10, help="Simulated experiments, and days, of each kind.")] = 1000,
    quick: QuickOption = False,
    json_path: JsonOption = None,
) -> None:
    """Simulate experiments: false decisions, verdicts needed by design, faults of the assignment, versions stopped.

    deephypebot bench experiments
    """
    import time

    from rich.console import Console

    from benchmarks.experiments.goals import simulate, table_of
    from foundation.result_line import finish
    from foundation.terminal import show

    console = Console()
    num_runs = min(runs, _QUICK_RUNS) if quick else runs
    started = time.perf_counter()
    with console.status("simulating experiments"):
        figures = simulate(runs=num_runs)
    show(table_of(figures, runs=num_runs), console=console)
    finish("experiments", {"runs": num_runs, "seconds": time.perf_counter() - started, **figures}, json_path)
