"""The command `deephypebot bench serve`."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from benchmarks.serving.options import ModelArgument, PresetOption
from foundation.terminal import show

if TYPE_CHECKING:
    from benchmarks.serving.plan import Plan
    from benchmarks.serving.run import Note, Site

_FEW_REQUESTS = 500
"""Requests over which the gateway's memory is measured with --quick."""
_TOKENS_OF_A_SENTENCE = 26
"""Mean length of sentences of real text; a model with random weights does not end its sentences."""


def bench_serve(
    model: ModelArgument = None,
    *,
    preset: PresetOption = "reference",
    peers: Annotated[
        str, typer.Option(help="Servers to compare with: litserve,rayserve,bentoml,grpc; or none.")
    ] = "litserve,rayserve,bentoml,grpc",
    workers: Annotated[
        int, typer.Option(min=0, help="Worker processes of every server; 0 for the number of `serve`.")
    ] = 0,
    threads: Annotated[int, typer.Option(min=0, help="Threads of torch per worker; 0 for cores / workers.")] = 0,
    batch_size: Annotated[int, typer.Option(min=0, help="Maximum requests of a batch; 0 for the archive's own.")] = 0,
    max_batch_delay: Annotated[
        int, typer.Option(min=0, help="Maximum time a batch waits to fill, in ms; 0 for the archive's own.")
    ] = 0,
    num_samples: Annotated[int, typer.Option("--num-samples", "-n", min=1, help="Samples per request.")] = 5,
    clients: Annotated[str, typer.Option(help="Numbers of clients in the closed loops.")] = "1,8,32,128,256",
    rounds: Annotated[int, typer.Option(min=1, help="Number of measurements of each.")] = 3,
    seconds: Annotated[float, typer.Option(min=0.5, help="Length of a closed loop with many clients.")] = 8.0,
    sweep: Annotated[
        bool, typer.Option("--sweep", help="Measure combinations of batch size, delay and workers instead.")
    ] = False,
    gateway: Annotated[
        bool,
        typer.Option("--gateway", help="Measure the goals of the gateway instead: its costs one by one, its memory."),
    ] = False,
    variants: Annotated[
        str,
        typer.Option(help="Servers that --gateway measures, such as gateway,traced,tls; all if none is named."),
    ] = "",
    memory_requests: Annotated[
        int, typer.Option(min=0, help="Requests over which --gateway measures the growth of its memory; 0 for none.")
    ] = 200_000,
    workspace: Annotated[
        Path,
        typer.Option(
            envvar="DEEPHYPEBOT_WORKSPACE",
            help="Folder whose subfolder bench keeps the environments of the other servers.",
        ),
    ] = Path("workspace"),
    plot: Annotated[Path | None, typer.Option(help="Also plot latency over offered load, as PNG.")] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="Few requests, as a check that it runs; its figures mean little.")
    ] = False,
    json_path: Annotated[Path | None, typer.Option("--json", help="Also write the figures to this file.")] = None,
) -> None:
    """Measure TorchServe and the gateway against the engine alone and other servers, in one run.

    All use the same archive, workers, threads, batch size and requests. The other servers are installed for the
    benchmark only, in environments of their own. Everything listens on 127.0.0.1 and ends with the command.

    deephypebot bench serve

    deephypebot bench serve model_store/lcgan_1.mar --peers none --plot serve.png

    deephypebot bench serve --sweep --rounds 1

    deephypebot bench serve --gateway --clients 1,128

    deephypebot bench serve --gateway --clients 1,128 --variants traced,away --memory-requests 0
    """
    from benchmarks.serving.archive import bring_archive, serving_of
    from benchmarks.serving.calls import Asked
    from benchmarks.serving.errors import BenchError
    from benchmarks.serving.plan import Plan, read_numbers, read_peers
    from benchmarks.serving.run import prepare_site
    from foundation.result_line import finish
    from handlers.contract import ContractError

    console = Console()
    with tempfile.TemporaryDirectory(prefix="bench-serve-") as folder, _notes(console) as note:
        note("packing the archive")
        archive = bring_archive(model, preset, Path(folder))
        try:
            plan = Plan(
                serving=serving_of(
                    archive, workers=workers, threads=threads, batch_size=batch_size, delay_ms=max_batch_delay
                ),
                asked=Asked(samples=num_samples, max_tokens=64 if model else _TOKENS_OF_A_SENTENCE),
                clients=read_numbers(clients),
                rounds=rounds,
                seconds=seconds,
                peers=read_peers(peers),
            )
        except (ValueError, ContractError) as cause:
            raise BenchError(str(cause)) from cause
        site = prepare_site(archive, Path(folder), workspace / "bench")
        if sweep and gateway:
            raise BenchError("--sweep and --gateway are two measurements; give one")
        chosen = plan.quick() if quick else plan
        if gateway:
            requests = min(_FEW_REQUESTS, memory_requests) if quick else memory_requests
            tables, figures = _gateway(chosen, site, note, plot, memory_requests=requests, variants=variants)
        else:
            tables, figures = (_sweep if sweep else _compare)(chosen, site, note, plot)
    name = "serve sweep" if sweep else "serve gateway" if gateway else "serve"
    for table in tables:
        show(table, console=console)
    finish(name, figures, json_path, digits=4)


def _compare(plan: Plan, site: Site, note: Note, plot: Path | None) -> tuple[list[Table], dict[str, Any]]:
    from benchmarks.serving.report import figures, tables
    from benchmarks.serving.run import measure

    measured = measure(plan, site, note)
    if plot is not None:
        from benchmarks.serving.plot import plot_curve

        plot_curve(measured, plot)
    return tables(measured), figures(measured)


def _sweep(plan: Plan, site: Site, note: Note, plot: Path | None) -> tuple[list[Table], dict[str, Any]]:
    from benchmarks.serving.errors import BenchError
    from benchmarks.serving.plan import SweepPlan
    from benchmarks.serving.sweep import sweep, sweep_figures, sweep_table
    from foundation.processors import num_processors

    if plot is not None:
        raise BenchError("--sweep makes no plot; omit --plot")
    tried = sweep(SweepPlan(cores=num_processors()), plan, site, note)
    return [sweep_table(tried)], sweep_figures(tried)


def _gateway(
    plan: Plan, site: Site, note: Note, plot: Path | None, *, memory_requests: int, variants: str
) -> tuple[list[Table], dict[str, Any]]:
    from benchmarks.serving.errors import BenchError
    from benchmarks.serving.gateway_goals import figures, measure_goals, tables
    from benchmarks.serving.variants import read_variants

    if plot is not None:
        raise BenchError("--gateway makes no plot; omit --plot")
    try:
        servers = read_variants(variants)
    except ValueError as cause:
        raise BenchError(str(cause)) from cause
    measured = measure_goals(plan, site, note, memory_requests=memory_requests, servers=servers)
    return tables(measured), figures(measured)


@contextmanager
def _notes(console: Console) -> Iterator[Note]:
    """Show the current measurement beside a progress bar, or, without a terminal, as lines."""
    if not console.is_terminal:
        errors = Console(stderr=True)
        yield lambda text: errors.print(text, highlight=False)
        return
    columns = (TextColumn("bench serve"), BarColumn(), TimeElapsedColumn(), TextColumn("{task.description}"))
    with Progress(*columns, console=console, transient=True) as bars:
        task = bars.add_task("", total=None)
        yield lambda text: bars.update(task, description=text)
