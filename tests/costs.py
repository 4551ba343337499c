"""Costs in units of the machine: how long something takes, over a fixed piece of work measured in the same moment.

A limit in microseconds says as much about the machine and its neighbours as about the code: the same row took 28 us on
one day's machine and 66 on another's.
"""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable
from typing import Final

_DOCUMENT: Final = {
    "genres": ["dream pop", "shoegaze", "noise pop"],
    "numbers": [number / 7 for number in range(20)],
    "settings": {f"name {number}": number for number in range(12)},
    "text": 'a "quoted" piece of text, as long as a sentence of a review is',
}


def _yardstick() -> None:
    json.loads(json.dumps(_DOCUMENT))


def relative_cost(work: Callable[[], object], *, calls: int = 500, rounds: int = 15) -> float:
    """Return the processor time of a call over that of encoding and decoding a fixed JSON document of 0.7 kB.

    Both are measured in turns, and the median of the turns' ratios is returned.
    """
    ratios = []
    for _ in range(rounds):
        yardstick = _seconds(_yardstick, calls)
        ratios.append(_seconds(work, calls) / yardstick)
    return statistics.median(ratios)


def _seconds(work: Callable[[], object], calls: int) -> float:
    started = time.thread_time()
    for _ in range(calls):
        work()
    return time.thread_time() - started
