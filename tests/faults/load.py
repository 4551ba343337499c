"""Continuous load with marks: every call is logged with time, code and version, and its text is checked by its seed.

Two kinds of clients ask at once. Those of `ONCE` make one attempt, so that they show each failure of the service; those
of `RETRYING` are clients as they are in use, with the client's own retries, for which the promises are made.
"""

from __future__ import annotations

import itertools
import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Final

from serving.client import CommentaryClient, CommentaryError, CommentaryResponse, RetryPolicy
from tests.faults.models import NUM_SEEDS, Table, request_of
from tests.threads import running

OK: Final = "OK"
_WATCH_S: Final = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """Clients of one kind."""

    name: str
    threads: int
    retry: RetryPolicy
    timeout_s: float = 5.0
    pause_s: float = 0.01


ONCE: Final = Kind(name="one attempt", threads=3, retry=RetryPolicy(max_attempts=1))
RETRYING: Final = Kind(name="with retries", threads=2, retry=RetryPolicy(), timeout_s=10.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One call; times are in seconds since the load began."""

    client: str
    began_s: float
    ended_s: float
    code: str
    version: str = ""
    seed: int = 0
    wrong: str = ""
    """Text that is not what the version writes for the seed; empty if it is right."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What health and Describe said at one moment."""

    at_s: float
    serving: bool
    workers_ready: int = 0
    workers_wanted: int = 0

    @property
    def is_complete(self) -> bool:
        return self.serving and 0 < self.workers_wanted <= self.workers_ready


def counts(calls: Iterable[Call]) -> dict[str, dict[str, int]]:
    """Number of calls by kind of client and code."""
    found: dict[str, Counter[str]] = {}
    for call in calls:
        found.setdefault(call.client, Counter())[call.code] += 1
    return {client: dict(counter.most_common()) for client, counter in sorted(found.items())}


def longest_gap_s(calls: Iterable[Call], *, since_s: float, until_s: float) -> float:
    """Longest time without an answer to any client, from one moment to another."""
    ends = sorted(call.ended_s for call in calls if call.code == OK and since_s < call.ended_s < until_s)
    return max(after - before for before, after in itertools.pairwise([since_s, *ends, until_s]))


def settled_s(calls: Iterable[Call], looks: Iterable[Look], *, since_s: float) -> float:
    """Time from a moment until all calls succeed, health says so and no worker is missing; 0 if it was always so."""
    troubles = [call.ended_s for call in calls if call.code != OK and call.ended_s > since_s]
    troubles += [look.at_s + _WATCH_S for look in looks if look.at_s > since_s and not look.is_complete]
    return max([since_s, *troubles]) - since_s


def health_periods(looks: Iterable[Look], *, since_s: float) -> list[tuple[float, float]]:
    """Periods in which health did not say SERVING, in seconds since a moment."""
    periods: list[tuple[float, float]] = []
    began = None
    last = since_s
    for look in looks:
        last = look.at_s
        if not look.serving and began is None:
            began = last
        elif look.serving and began is not None:
            periods.append((began - since_s, last - since_s))
            began = None
    return [*periods, (began - since_s, last - since_s)] if began is not None else periods


@dataclass(kw_only=True)
class Load:
    """Log of a load that runs."""

    tables: Mapping[str, Table]
    """Texts of each version by seed."""
    calls: list[Call] = field(default_factory=list)
    looks: list[Look] = field(default_factory=list)
    _began: float = field(default_factory=time.monotonic)

    def now_s(self) -> float:
        return time.monotonic() - self._began

    @property
    def wrong(self) -> list[Call]:
        return [call for call in self.calls if call.wrong]

    def answers(self, client: str, *, since_s: float = 0.0) -> int:
        return sum(1 for call in self.calls if call.client == client and call.code == OK and call.ended_s > since_s)

    def failures(self, client: str) -> list[Call]:
        return [call for call in self.calls if call.client == client and call.code != OK]

    def is_quiet(self, kinds: Iterable[Kind], *, for_s: float, complete: bool = True) -> bool:
        """Whether every kind of client has been answered for some time, no call failed, and no worker is missing."""
        since_s = self.now_s() - for_s
        recent = [call for call in self.calls[-20_000:] if call.ended_s > since_s]
        looks = [look for look in self.looks[-2_000:] if look.at_s > since_s]
        return (
            since_s > 0
            and {call.client for call in recent} == {kind.name for kind in kinds}
            and all(call.code == OK for call in recent)
            and bool(looks)
            and (not complete or all(look.is_complete for look in looks))
        )

    def write(self, path: Path) -> None:
        """Write one line of JSON for each call."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(json.dumps(asdict(call)) + "\n" for call in self.calls), encoding="utf-8")

    def check(self, response: CommentaryResponse, seed: int) -> str:
        """Return what is wrong with an answer; empty if nothing is."""
        texts = tuple(sample.text for sample in response.samples)
        table = self.tables.get(response.model.version)
        if table is None:
            return f"of a version {response.model.version!r} that nobody registered"
        return "" if table[seed] == texts else repr(texts)


@contextmanager
def running_load(
    target: str,
    model: str,
    tables: Mapping[str, Table],
    *,
    workers: int,
    kinds: tuple[Kind, ...] = (ONCE, RETRYING),
) -> Iterator[Load]:
    """Ask without end, and look at health and at the workers of each version, for as long as the block runs."""
    load, done = Load(tables=tables), threading.Event()
    seeds = itertools.cycle(range(NUM_SEEDS))
    with ExitStack() as stack:
        threads = []
        for kind in kinds:
            client = stack.enter_context(
                CommentaryClient(target, model=model, retry=kind.retry, timeout_s=kind.timeout_s)
            )
            threads += [
                threading.Thread(target=_ask, args=(load, client, kind, seeds, done), name=f"load-{kind.name}-{number}")
                for number in range(kind.threads)
            ]
        watcher = stack.enter_context(CommentaryClient(target, model=model, retry=ONCE.retry))
        threads.append(threading.Thread(target=_watch, args=(load, watcher, model, workers, done), name="load-watch"))
        with running(threads, done):
            yield load


def _ask(load: Load, client: CommentaryClient, kind: Kind, seeds: Iterator[int], done: threading.Event) -> None:
    while not done.wait(kind.pause_s):
        seed = next(seeds)
        began_s = load.now_s()
        code, version, wrong = OK, "", ""
        try:
            response = client.generate(request_of(seed))
        except CommentaryError as fault:
            code = fault.code
        else:
            version, wrong = response.model.version, load.check(response, seed)
        load.calls.append(
            Call(
                client=kind.name,
                began_s=round(began_s, 4),
                ended_s=round(load.now_s(), 4),
                code=code,
                version=version,
                seed=seed,
                wrong=wrong,
            )
        )


def _watch(load: Load, client: CommentaryClient, model: str, workers: int, done: threading.Event) -> None:
    while not done.wait(_WATCH_S):
        serving = client.is_serving(timeout_s=1)
        ready = wanted = 0
        try:
            (described,) = client.describe(model, timeout_s=1)
        except CommentaryError:
            pass
        else:
            ready = sum(version.workers_ready for version in described.versions)
            wanted = workers * len(described.versions)
        load.looks.append(
            Look(at_s=round(load.now_s(), 3), serving=serving, workers_ready=ready, workers_wanted=wanted)
        )


def wait_for(condition: Callable[[], object], *, timeout_s: float, what: str) -> None:
    """Wait until a condition holds; fail and say what did not happen."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, f"{what} did not happen within {timeout_s:g} s"
        time.sleep(0.05)
