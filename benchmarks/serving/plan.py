"""What the serving benchmark does, and for how long."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from benchmarks.serving.calls import Asked, Phase

PEERS: Final = ("litserve", "rayserve", "bentoml", "grpc")
"""What the engine is also put behind; `grpc` is a bare grpc.aio server, which needs nothing installed."""
PATIENCE: Final = {"litserve": 10, "rayserve": 10}
"""How many times our delay these wait for company: they take requests in so slowly that in ours hardly a quarter of a
batch comes together, which costs them a sixth of their samples per second (LitServe) and more (Ray Serve)."""
FEW: Final = 32
"""Clients up to which a phase is short: their answers come often."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Serving:
    """How a server serves.

    Raises:
        ValueError: a value is not positive.
    """

    workers: int
    threads: int
    """Of torch, in each worker."""
    batch_size: int
    delay_ms: int

    def __post_init__(self) -> None:
        for name in ("workers", "threads", "batch_size", "delay_ms"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")

    def __str__(self) -> str:
        """In words."""
        return (
            f"{self.workers} worker{'s' * (self.workers > 1)} of {self.threads} thread{'s' * (self.threads > 1)}, "
            f"batches of {self.batch_size}, delay {self.delay_ms} ms"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How much is measured.

    Raises:
        ValueError: an unknown peer, or no clients.
    """

    serving: Serving
    asked: Asked
    clients: tuple[int, ...] = (1, 8, 32, 128, 256)
    """Numbers of clients of the closed loops. The last should keep every worker's next batch waiting."""
    rounds: int = 3
    seconds: float = 8.0
    """Of a phase with many clients; half as long with few."""
    settle_s: float = 2.0
    warm_s: float = 6.0
    """Of load with the most clients before anything is measured: Java compiles what it runs often while it runs."""
    loads: tuple[float, ...] = (0.1, 0.3, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.1)
    """Offered loads of the open loop, as shares of what the closed loops reached."""
    peers: tuple[str, ...] = PEERS
    seed: int = 1

    def __post_init__(self) -> None:
        if unknown := [peer for peer in self.peers if peer not in PEERS]:
            raise ValueError(f"--peers takes {', '.join(PEERS)} or none, got {', '.join(unknown)}")
        if not self.clients or min(self.clients) < 1 or list(self.clients) != sorted(set(self.clients)):
            raise ValueError(f"clients must be positive and ascending, got {self.clients}")

    def serving_of(self, server: str) -> Serving:
        """How a server serves: all alike, but for the patience of some."""
        return replace(self.serving, delay_ms=self.serving.delay_ms * PATIENCE.get(server, 1))

    def quick(self) -> Plan:
        """The same in little: to see that it runs, not to believe it."""
        return replace(self, clients=(1, 8), rounds=1, seconds=1.0, settle_s=0.3, warm_s=0.3, loads=(0.3, 0.6, 1.2))

    def warm(self) -> Phase:
        """What every server goes through before its first phase."""
        return Phase(clients=self.clients[-1], settle_s=0.0, seconds=self.warm_s, first=self.first(self.rounds + 1))

    def closed(self, round_number: int) -> tuple[Phase, ...]:
        """Closed loops of a round; rounds differ by their requests, servers do not."""
        return tuple(
            Phase(
                clients=clients,
                settle_s=self.settle_s / 2 if clients <= FEW else self.settle_s,
                seconds=self.seconds / 2 if clients <= FEW else self.seconds,
                first=self.first(round_number, place),
            )
            for place, clients in enumerate(self.clients)
        )

    def open(self, capacity: float) -> tuple[Phase, ...]:
        """Open loops, up to beyond a capacity in requests a second."""
        return tuple(
            Phase(
                rate=load * capacity,
                settle_s=self.settle_s,
                seconds=self.seconds,
                first=self.first(self.rounds, place),
            )
            for place, load in enumerate(self.loads)
        )

    def first(self, round_number: int, place: int = 0) -> int:
        """Number of the first request of a phase: no two phases of a round share one."""
        return self.seed * 10**9 + round_number * 10**7 + place * 10**5


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepPlan:
    """Ways to serve that `--sweep` tries."""

    batch_sizes: tuple[int, ...] = (16, 32, 64, 128)
    delays_ms: tuple[int, ...] = (2, 5, 10)
    cores: int

    def servings(self) -> tuple[Serving, ...]:
        """Every combination; workers times threads are the cores."""
        return tuple(
            Serving(workers=workers, threads=self.cores // workers, batch_size=size, delay_ms=delay)
            for workers in worker_numbers(self.cores)
            for size in self.batch_sizes
            for delay in self.delays_ms
        )


def worker_numbers(cores: int) -> tuple[int, ...]:
    """Numbers of workers among which cores can be shared out evenly: 1, the cores, and powers of two between.

    >>> worker_numbers(8), worker_numbers(6), worker_numbers(1)
    ((1, 2, 4, 8), (1, 2, 6), (1,))
    """
    found = {1, cores} | {2**power for power in range(cores.bit_length()) if cores % 2**power == 0}
    return tuple(sorted(found))


def read_numbers(text: str) -> tuple[int, ...]:
    """Whole numbers as options take them.

    Raises:
        ValueError: something else.

    >>> read_numbers("1, 8")
    (1, 8)
    """
    try:
        return tuple(int(each) for each in text.split(","))
    except ValueError as cause:
        raise ValueError(f"expected whole numbers with commas between, as in 1,8,32; got {text!r}") from cause


def read_peers(text: str) -> tuple[str, ...]:
    """Peers as `--peers` takes them.

    >>> read_peers("grpc, litserve"), read_peers("none")
    (('grpc', 'litserve'), ())
    """
    names: Sequence[str] = [each.strip() for each in text.split(",") if each.strip()]
    return () if list(names) == ["none"] else tuple(names)
