"""Measurement of the engine alone, in as many processes as a server has workers: saturated, then single requests."""

from __future__ import annotations

import json
import multiprocessing
import sys
import time
from dataclasses import dataclass
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any

from benchmarks.serving.programs.served import Served
from benchmarks.serving.programs.settings import write_whole
from handlers.contract import CommentaryRequest


@dataclass(frozen=True, slots=True, kw_only=True)
class _Work:
    model: Path
    threads: int
    requests: tuple[str, ...]
    """Requests of one decode."""
    seconds: float


def main() -> None:
    """Measure, and write the result to a file."""
    settings: dict[str, Any] = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    model, threads = Path(settings["model"]), settings["threads"]
    lone = [CommentaryRequest.from_json(each) for each in settings["lone"]]
    found = {
        "samples_per_s": _saturated(
            [
                _Work(model=model, threads=threads, requests=tuple(part), seconds=settings["seconds"])
                for part in settings["saturating"]
            ]
        ),
        "lone_ms": _alone(Served(model, threads=threads), lone, settings["seconds"]),
    }
    write_whole(Path(settings["out"]), found)


def _saturated(parts: list[_Work]) -> float:
    """Return the samples a second of all processes together."""
    context = multiprocessing.get_context("spawn")
    barrier, rates = context.Barrier(len(parts)), context.SimpleQueue()
    processes = [context.Process(target=_decode, args=(part, barrier, rates), daemon=True) for part in parts]
    for process in processes:
        process.start()
    # A process that dies sends no rate, so the ends are waited for first.
    for process in processes:
        process.join()
    if any(process.exitcode for process in processes):
        raise SystemExit("a process of the engine died")
    return sum(float(rates.get()) for _ in processes)


def _decode(work: _Work, barrier: Barrier, rates: Any) -> None:
    served = Served(work.model, threads=work.threads)
    requests = [CommentaryRequest.from_json(each) for each in work.requests]
    served.commentator.answer(requests[: len(requests) // 4 + 1])
    barrier.wait()
    samples, started = 0, time.perf_counter()
    while (elapsed := time.perf_counter() - started) < work.seconds:
        samples += sum(len(answer.samples) for answer in served.commentator.answer(requests))
    elapsed = time.perf_counter() - started
    rates.put(samples / elapsed)


def _alone(served: Served, requests: list[CommentaryRequest], seconds: float) -> list[float]:
    """Measure single requests until the time is over, and return the milliseconds of each."""
    times: list[float] = []
    ends = time.perf_counter() + seconds
    for request in requests:
        started = time.perf_counter()
        if started > ends:
            break
        served.commentator.answer([request])
        times.append(1000 * (time.perf_counter() - started))
    return times


if __name__ == "__main__":
    main()
