"""How fast a GPU decodes: steps by CUDA events, against what the GPU can do, torch's own loop and the host's share.

A time of steps alone is that of recorded kernels, all slots live and no row at its end. What the host adds, letting
rows in and taking sentences out, is in the rate of whole decodes.

Off a GPU the same code measures Triton's interpreter, which says nothing of speed: so that it can be tested.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import torch
from rich.table import Table

from benchmarks.training.decode import PlainLoop, bench_rows, endless
from handlers.contract import MAX_TOKENS
from handlers.decoding.engine import Engine
from handlers.model.bundle import Bundle
from training.progress import Progress, silent

_GOAL_MS: Final = 1.6
_GOAL_TOKENS_PER_S: Final = 5e6


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuBenchPlan:
    """How much is measured."""

    rows: int = 64
    """Rows of the smaller decode."""
    steps: int = 40
    saturated: tuple[int, ...] = (256, 1024, 4096)
    """Slots, all of them live."""
    rounds: int = 9
    sentence: int = 26
    """Tokens of each row of whole decodes; sentences of real text are as long."""
    edge: int = 8192
    """Of the matrices that a large product multiplies."""
    copied: int = 1 << 28
    """Numbers that a large copy moves."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuSpeed:
    """What was measured; medians over the rounds, ratios taken within each round."""

    batch_ms: float
    """The plan's rows for the plan's steps."""
    batch_of_roofline: float
    """Share of the roofline: the time that the model's products need at the large product's rate, or the reading of
    its weights at the large copy's, whichever is longer, over the measured time."""
    tokens_per_s: dict[int, float]
    """By slots, all of them live: of steps alone."""
    saturated_of_roofline: dict[int, float]
    whole_tokens_per_s: float
    """Of whole decodes, four times as many rows as the most slots, the host's work included."""
    vs_launched: float
    """Kernels launched one by one, over the same recorded, with the plan's rows."""
    vs_plain: float
    """A batched loop of torch's modules, over the kernels, with the plan's rows."""
    gemm_tflops: float
    copy_gb_per_s: float
    precision: str

    def figures(self) -> dict[str, object]:
        """For the line of JSON."""
        return {name: getattr(self, name) for name in self.__slots__}


def measure_gpu_decoding(
    bundle: Bundle, plan: GpuBenchPlan, device: torch.device, *, progress: Progress = silent
) -> GpuSpeed:
    """Measure, round by round."""
    model = endless(bundle)
    engines = {slots: Engine(model, device=device, slots=slots, kernels=True) for slots in (plan.rows, *plan.saturated)}
    small, largest = engines[plan.rows], engines[max(engines)]
    plain = PlainLoop(model.decoder).to(device)
    z_BZ = torch.zeros(plan.rows, model.config.decoder.z_size, device=device)
    kind = torch.bfloat16 if small.precision == "bf16" else torch.float32
    square = torch.randn(plan.edge, plan.edge, device=device, dtype=kind)
    source = torch.zeros(plan.copied, device=device)
    copied, product = torch.empty_like(source), torch.empty_like(square)
    many = bench_rows(4 * max(engines), plan.sentence)
    ways: dict[str, Callable[[], float]] = {
        "gemm": lambda: _seconds(lambda: torch.mm(square, square, out=product), device),
        "copy": lambda: _seconds(lambda: copied.copy_(source), device),
        "launched": lambda: _steps(small, plan.steps, device, recorded=False),
        "plain": lambda: _seconds(lambda: plain(z_BZ, plan.steps), device),
        "whole": lambda: _seconds(lambda: largest.decode(many), device),
    }
    ways |= {f"{slots}": lambda engine=engine: _steps(engine, plan.steps, device) for slots, engine in engines.items()}  # type: ignore[misc]
    rounds = []
    for number in range(plan.rounds + 1):
        progress(number, plan.rounds + 1, "rounds")
        rounds.append({name: way() for name, way in ways.items()})
    # The first one compiled, recorded and warmed up.
    return _speed(model, plan, rounds[1:], precision=small.precision.value)


def _speed(model: Bundle, plan: GpuBenchPlan, rounds: list[dict[str, float]], *, precision: str) -> GpuSpeed:
    config = model.config.decoder
    weights = 4 * config.hidden_size**2 + (config.hidden_size + config.vocabulary_size) * config.embedding_size
    width = 2 if precision == "bf16" else 4

    def middle(ratio: Callable[[dict[str, float]], float]) -> float:
        return statistics.median(map(ratio, rounds))

    def roofline(slots: int) -> float:
        def of(each: dict[str, float]) -> float:
            multiplying = weights * slots / plan.edge**3 * each["gemm"]
            reading = weights * width / (8 * plan.copied) * each["copy"]
            return plan.steps * max(multiplying, reading) / each[f"{slots}"]

        return middle(of)

    most = max(plan.rows, *plan.saturated)
    return GpuSpeed(
        batch_ms=1000 * middle(lambda each: each[f"{plan.rows}"]),
        batch_of_roofline=roofline(plan.rows),
        tokens_per_s={
            slots: middle(lambda each, slots=slots: slots * plan.steps / each[f"{slots}"])  # type: ignore[misc]
            for slots in plan.saturated
        },
        saturated_of_roofline={slots: roofline(slots) for slots in plan.saturated},
        whole_tokens_per_s=middle(lambda each: 4 * most * plan.sentence / each["whole"]),
        vs_launched=middle(lambda each: each["launched"] / each[f"{plan.rows}"]),
        vs_plain=middle(lambda each: each["plain"] / each[f"{plan.rows}"]),
        gemm_tflops=middle(lambda each: 2 * plan.edge**3 / each["gemm"] / 1e12),
        copy_gb_per_s=middle(lambda each: 8 * plan.copied / each["copy"] / 1e9),
        precision=precision,
    )


def _steps(engine: Engine, steps: int, device: torch.device, *, recorded: bool = True) -> float:
    """Seconds of some steps with all slots live."""
    rounds = engine.fill(bench_rows(engine.slots, MAX_TOKENS))

    def take() -> None:
        for _ in range(steps // rounds.steps):
            rounds.take() if recorded else rounds.launch()

    return _seconds(take, device)


def _seconds(run: Callable[[], object], device: torch.device) -> float:
    """By CUDA events on a GPU; by the clock elsewhere."""
    if device.type != "cuda":
        started = time.perf_counter()
        run()
        return time.perf_counter() - started
    before, after = (torch.cuda.Event(enable_timing=True) for _ in range(2))  # type: ignore[no-untyped-call]
    torch.cuda.synchronize(device)
    before.record()
    run()
    after.record()
    torch.cuda.synchronize(device)
    milliseconds: float = before.elapsed_time(after)
    return milliseconds / 1000


def gpu_table(speed: GpuSpeed, plan: GpuBenchPlan) -> Table:
    """For people."""
    table = Table("figure", "value", "goal", "what it is", title=f"decode on a GPU, {speed.precision}")
    table.add_row(
        "batch", f"{speed.batch_ms:.2f} ms", f"<= {_GOAL_MS}", f"{plan.rows} rows x {plan.steps} steps, by CUDA events"
    )
    table.add_row("", f"{speed.batch_of_roofline:.2f}", "", "of the roofline")
    for slots, rate in speed.tokens_per_s.items():
        goal = f">= {_GOAL_TOKENS_PER_S:,.0f}" if slots == max(speed.tokens_per_s) else ""
        table.add_row("tokens/s", f"{rate:,.0f}", goal, f"{slots} slots, steps alone")
        table.add_row("", f"{speed.saturated_of_roofline[slots]:.2f}", "", "of the roofline")
    table.add_row("tokens/s", f"{speed.whole_tokens_per_s:,.0f}", "", "whole decodes, the host's work included")
    table.add_row("vs_launched", f"{speed.vs_launched:.2f} x", "", "kernels one by one, over the recorded ones")
    table.add_row("vs_plain", f"{speed.vs_plain:.2f} x", "", "LSTMCell, Linear, topk, multinomial")
    table.add_row("roofline", f"{speed.gemm_tflops:.0f} TFLOP/s", "", f"product of {plan.edge} x {plan.edge} matrices")
    table.add_row("", f"{speed.copy_gb_per_s:.0f} GB/s", "", "read and written by a large copy")
    return table
