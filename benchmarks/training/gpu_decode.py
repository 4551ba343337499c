"""Benchmark of decoding on a GPU, by CUDA events: rooflines, a plain torch loop, and the host's overhead.

The time of steps alone is that of recorded kernels with all slots live and no sequence at its end. The rate of whole
decodes includes the host's work: admitting sequences and reading sentences.

Without a GPU the same code runs in Triton's interpreter. This serves the tests; its speed is meaningless.

Shapes: B sequences, Z latent vector.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import torch
from rich.table import Table

from benchmarks.training.decode import PlainLoop, bench_sequences, endless
from handlers.contract import MAX_TOKENS
from handlers.decoding.engine import Engine
from handlers.model.bundle import Bundle
from training.progress import Progress, silent

_GOAL_MS: Final = 1.6
_GOAL_TOKENS_PER_S: Final = 5e6


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuBenchPlan:
    """Amount of work to measure."""

    sequences: int = 64
    """Sequences of the smaller decode."""
    steps: int = 40
    saturated: tuple[int, ...] = (256, 1024, 4096)
    """Numbers of slots, all of them live, in the larger decodes."""
    rounds: int = 9
    sentence: int = 26
    """Tokens of each sequence of whole decodes; the mean of real text."""
    edge: int = 8192
    """Rows and columns of the matrices of the large product."""
    copied: int = 1 << 28
    """Numbers that the large copy moves."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuSpeed:
    """Decode speed of a GPU: medians over the rounds, with ratios taken within each round."""

    batch_ms: float
    """Time of the plan's steps with the plan's sequences."""
    batch_of_roofline: float
    """Share of the roofline: the larger of two times, of the model's products at the large product's rate and of
    reading its weights at the large copy's rate, over the measured time."""
    tokens_per_s: dict[int, float]
    """Tokens per second of steps alone, by number of slots, all of them live."""
    saturated_of_roofline: dict[int, float]
    """Share of the roofline, by number of slots."""
    whole_tokens_per_s: float
    """Tokens per second of whole decodes of four times as many sequences as slots, including the host's work."""
    vs_launched: float
    """Time of kernels launched one by one over that of recorded kernels, with the plan's sequences."""
    vs_plain: float
    """Time of `PlainLoop` over that of the kernels, with the plan's sequences."""
    gemm_tflops: float
    copy_gb_per_s: float
    precision: str

    def figures(self) -> dict[str, object]:
        """Return the figures of the result line."""
        return {name: getattr(self, name) for name in self.__slots__}


def measure_gpu_decoding(
    bundle: Bundle, plan: GpuBenchPlan, device: torch.device, *, progress: Progress = silent
) -> GpuSpeed:
    """Measure the decode, round by round."""
    model = endless(bundle)
    engines = {
        slots: Engine(model, device=device, slots=slots, kernels=True) for slots in (plan.sequences, *plan.saturated)
    }
    small, largest = engines[plan.sequences], engines[max(engines)]
    plain = PlainLoop(model.decoder).to(device)
    z_BZ = torch.zeros(plan.sequences, model.config.decoder.z_size, device=device)
    kind = torch.bfloat16 if small.precision == "bf16" else torch.float32
    square = torch.randn(plan.edge, plan.edge, device=device, dtype=kind)
    source = torch.zeros(plan.copied, device=device)
    copied, product = torch.empty_like(source), torch.empty_like(square)
    many = bench_sequences(4 * max(engines), plan.sentence)
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
    # The first round compiles, records and warms up.
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

    largest = max(plan.sequences, *plan.saturated)
    return GpuSpeed(
        batch_ms=1000 * middle(lambda each: each[f"{plan.sequences}"]),
        batch_of_roofline=roofline(plan.sequences),
        tokens_per_s={
            slots: middle(lambda each, slots=slots: slots * plan.steps / each[f"{slots}"])  # type: ignore[misc]
            for slots in plan.saturated
        },
        saturated_of_roofline={slots: roofline(slots) for slots in plan.saturated},
        whole_tokens_per_s=middle(lambda each: 4 * largest * plan.sentence / each["whole"]),
        vs_launched=middle(lambda each: each["launched"] / each[f"{plan.sequences}"]),
        vs_plain=middle(lambda each: each["plain"] / each[f"{plan.sequences}"]),
        gemm_tflops=middle(lambda each: 2 * plan.edge**3 / each["gemm"] / 1e12),
        copy_gb_per_s=middle(lambda each: 8 * plan.copied / each["copy"] / 1e9),
        precision=precision,
    )


def _steps(engine: Engine, steps: int, device: torch.device, *, recorded: bool = True) -> float:
    """Time steps with all slots live, in seconds."""
    stepper = engine.fill(bench_sequences(engine.slots, MAX_TOKENS))

    def take() -> None:
        for _ in range(steps // stepper.steps_per_round):
            stepper.run_round() if recorded else stepper.launch_round()

    return _seconds(take, device)


def _seconds(run: Callable[[], object], device: torch.device) -> float:
    """Time a function in seconds, by CUDA events on a GPU and by the clock elsewhere."""
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
    """Make a table of the figures and their goals."""
    table = Table("figure", "value", "goal", "what it is", title=f"decode on a GPU, {speed.precision}")
    table.add_row(
        "batch",
        f"{speed.batch_ms:.2f} ms",
        f"<= {_GOAL_MS}",
        f"{plan.sequences} sequences x {plan.steps} steps, by CUDA events",
    )
    table.add_row("", f"{speed.batch_of_roofline:.2f}", "", "of the roofline")
    for slots, rate in speed.tokens_per_s.items():
        goal = f">= {_GOAL_TOKENS_PER_S:,.0f}" if slots == max(speed.tokens_per_s) else ""
        table.add_row("tokens/s", f"{rate:,.0f}", goal, f"{slots} slots, steps alone")
        table.add_row("", f"{speed.saturated_of_roofline[slots]:.2f}", "", "of the roofline")
    table.add_row("tokens/s", f"{speed.whole_tokens_per_s:,.0f}", "", "whole decodes, the host's work included")
    table.add_row("vs_launched", f"{speed.vs_launched:.2f} x", "", "kernels launched one by one, over recorded ones")
    table.add_row("vs_plain", f"{speed.vs_plain:.2f} x", "", "LSTMCell, Linear, topk, multinomial")
    table.add_row("roofline", f"{speed.gemm_tflops:.0f} TFLOP/s", "", f"product of {plan.edge} x {plan.edge} matrices")
    table.add_row("", f"{speed.copy_gb_per_s:.0f} GB/s", "", "read and written by a large copy")
    return table
