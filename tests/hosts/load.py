"""A load that asks several hosts, and a record of every call."""

from __future__ import annotations

import contextlib
import itertools
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from serving.client import CommentaryClient
from tests.serving.support import ask
from tests.threads import running

NUM_THREADS = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One call."""

    began: float
    """Time of its begin, of `time.monotonic`."""
    ended: float
    unit: str
    version: str
    """Version that answered; empty if none did."""
    fault: str = ""
    is_wrong: bool = False
    """Whether the text is not the one that this version writes for this seed."""


@dataclass(slots=True)
class Load:
    """Calls of a load."""

    calls: list[Call] = field(default_factory=list)

    @property
    def faults(self) -> Counter[str]:
        return Counter(call.fault for call in self.calls if call.fault)

    @property
    def num_wrong(self) -> int:
        return sum(call.is_wrong for call in self.calls)

    def longest_gap_s(self) -> float:
        """Return the longest time in which no call was answered."""
        ends = sorted(call.ended for call in self.calls if not call.fault)
        return max((later - earlier for earlier, later in itertools.pairwise(ends)), default=0.0)

    def summary(self) -> str:
        slow = [call for call in self.calls if call.ended - call.began > 1]
        slowest = max(call.ended - call.began for call in self.calls)
        return (
            f"{len(self.calls)} calls, failed {dict(self.faults)}, wrong {self.num_wrong}, "
            f"slower than 1 s {len(slow)}, the slowest {slowest:.1f} s, longest gap {self.longest_gap_s():.2f} s"
        )

    def since(self, moment: float) -> list[Call]:
        return [call for call in self.calls if call.began > moment]


@contextlib.contextmanager
def load_on(
    target: str, model: str, units: Sequence[str], *, timeout_s: float, pause_s: float = 0.01
) -> Iterator[Load]:
    """Ask for one unit after the other, by one client with its own retries, for as long as the block runs."""
    load, done = Load(), threading.Event()

    def ask_on(number: int) -> None:
        for place, unit in enumerate(itertools.cycle(units[number::NUM_THREADS])):
            if done.wait(pause_s):
                return
            seed, began, version, fault, is_wrong = place * NUM_THREADS + number, time.monotonic(), "", "", False
            try:
                answer = client.generate(ask(title="load", unit=unit, seed=seed))
            except Exception as failure:  # noqa: BLE001 - whatever it is, it is a failed call
                fault = getattr(failure, "code", type(failure).__name__)
            else:
                version = answer.model.version
                is_wrong = [each.text for each in answer.samples] != [f"load by {version} from {seed}"]
            load.calls.append(
                Call(began=began, ended=time.monotonic(), unit=unit, version=version, fault=fault, is_wrong=is_wrong)
            )

    with CommentaryClient(target, model=model, timeout_s=timeout_s) as client:
        threads = [threading.Thread(target=ask_on, args=(number,)) for number in range(NUM_THREADS)]
        with running(threads, done):
            yield load
