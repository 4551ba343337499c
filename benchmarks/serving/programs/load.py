"""Load generator: waits until the server answers, then runs the phases and records every call."""

from __future__ import annotations

import asyncio
import itertools
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Protocol

from benchmarks.serving.calls import Call, LoadSettings, Phase, arrivals
from benchmarks.serving.programs.clients import Client, FailedError, client
from benchmarks.serving.programs.settings import write_whole

_PAUSE_S = 0.2


class _One(Protocol):
    async def __call__(self, number: int, due: float | None = None) -> None:
        """Send one request and record it, with its scheduled start if there is one."""


def main() -> None:
    """Run the generator with the settings of the command line."""
    asyncio.run(generate(LoadSettings.from_json(sys.argv[1])))


async def generate(settings: LoadSettings) -> None:
    """Run all phases, one after the other."""
    async with client(settings) as ask:
        await _first_answer(ask, settings)
        phases = [[asdict(call) for call in await run_phase(ask, settings, phase)] for phase in settings.phases]
    write_whole(Path(settings.out), phases)


async def run_phase(ask: Client, settings: LoadSettings, phase: Phase) -> list[Call]:
    """Run one phase and return its calls, including those outside the counted window."""
    asked, calls, began = settings.asked, [], time.perf_counter()

    async def one(number: int, due: float | None = None) -> None:
        started = time.perf_counter() - began if due is None else due
        code, samples, decode_ms = "OK", 0, 0.0
        try:
            samples, decode_ms = await ask(asked.payload(number))
        except FailedError as failure:
            code = failure.code
        ended = time.perf_counter() - began
        calls.append(Call(started=started, ended=ended, code=code, decode_ms=decode_ms, samples=samples))

    if phase.rate:
        await _open_loop(one, phase, began)
    else:
        numbers = itertools.count(phase.first)
        await asyncio.gather(*(_ask_again(one, numbers, began + phase.total_s) for _ in range(phase.clients)))
    return calls


async def _ask_again(one: _One, numbers: Iterator[int], ends: float) -> None:
    while time.perf_counter() < ends:
        await one(next(numbers))


async def _open_loop(one: _One, phase: Phase, began: float) -> None:
    tasks = []
    for number, due in enumerate(arrivals(phase.rate, phase.total_s, seed=phase.first), phase.first):
        await asyncio.sleep(began + due - time.perf_counter())
        tasks.append(asyncio.create_task(one(number, due)))
    await asyncio.gather(*tasks)


async def _first_answer(ask: Client, settings: LoadSettings) -> None:
    ends = time.perf_counter() + settings.patience_s
    while True:
        try:
            await ask(settings.asked.payload(0))
        except FailedError as failure:
            if time.perf_counter() > ends:
                raise SystemExit(
                    f"no correct answer within {settings.patience_s:g} s; the last error was {failure}"
                ) from None
            await asyncio.sleep(_PAUSE_S)
        else:
            return


if __name__ == "__main__":
    main()
