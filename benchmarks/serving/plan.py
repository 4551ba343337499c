"""Plan of the serving benchmark: servers, phases and their lengths."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from benchmarks.serving.calls import Asked, Phase

PEERS: Final = ("litserve", "rayserve", "bentoml", "grpc")
"""Other servers of the same engine; `grpc` is a bare grpc.aio server, which needs no installation."""
DELAY_FACTORS: Final = {"litserve": 10, "rayserve": 10}
"""Factor on the batch delay of servers that accept requests slowly: within the plain delay hardly a quarter of a batch
arrives, which costs a sixth of the samples per second (LitServe) and more (Ray Serve)."""
FEW: Final = 32
"""Number of clients up to which a phase is short, because answers are frequent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Serving:
    """Settings of a server.

    Raises:
        ValueError: a value is not positive.
    """

    workers: int
    threads: int
    """Threads of torch in each worker."""
    batch_size: int
    delay_ms: int

    def __post_init__(self) -> None:
        for name in ("workers", "threads", "batch_size", "delay_ms"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")

    def __str__(self) -> str:
        """Return the settings in words."""
        return (
            f"{self.workers} worker{'s' * (self.workers > 1)} of {self.threads} thread{'s' * (self.threads > 1)}, "
            f"batches of {self.batch_size}, delay {self.delay_ms} ms"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Amount of measurement.

    Raises:
        ValueError: a peer is unknown, or the numbers of clients are invalid.
    """

    serving: Serving
    asked: Asked
    clients: tuple[int, ...] = (1, 8, 32, 128, 256)
    """Numbers of clients of the closed loops. The last should be large enough that full batches always wait."""
    rounds: int = 3
    seconds: float = 8.0
    """Length of a phase with many clients; half of it with few."""
    settle_s: float = 2.0
    warm_s: float = 6.0
    """Length of the warm-up with the most clients, in which Java compiles its frequent code."""
    loads: tuple[float, ...] = (0.1, 0.3, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.1)
    """Offered loads of the open loop, as shares of the throughput of the closed loops."""
    peers: tuple[str, ...] = PEERS
    seed: int = 1

    def __post_init__(self) -> None:
        if unknown := [peer for peer in self.peers if peer not in PEERS]:
            raise ValueError(f"--peers takes {', '.join(PEERS)} or none, got {', '.join(unknown)}")
        if not self.clients or min(self.clients) < 1 or list(self.clients) != sorted(set(self.clients)):
            raise ValueError(f"clients must be positive and ascending, got {self.clients}")

    def serving_of(self, server: str) -> Serving:
        """Return the settings of a server: the same for all, except for the delay of some."""
        return replace(self.serving, delay_ms=self.serving.delay_ms * DELAY_FACTORS.get(server, 1))

    def quick(self) -> Plan:
        """Return a short plan, as a check that everything runs; its figures mean little."""
        return replace(
            self,
            clients=(1, 8),
            rounds=1,
            seconds=1.0,
            settle_s=0.3,
            warm_s=0.3,
            loads=(0.3, 0.6, 1.2),
        )

    def warm(self) -> Phase:
        """Return the warm-up of every server."""
        return Phase(clients=self.clients[-1], settle_s=0.0, seconds=self.warm_s, first=self.first(self.rounds + 1))

    def closed(self, round_number: int) -> tuple[Phase, ...]:
        """Return the closed loops of a round; rounds differ in their requests, servers do not."""
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
        """Return open loops with rates up to more than a capacity in requests a second."""
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
        """Return the number of the first request of a phase; phases of a round share no requests."""
        return self.seed * 10**9 + round_number * 10**7 + place * 10**5


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepPlan:
    """Combinations of settings for `--sweep`."""

    batch_sizes: tuple[int, ...] = (16, 32, 64, 128)
    delays_ms: tuple[int, ...] = (2, 5, 10)
    cores: int

    def servings(self) -> tuple[Serving, ...]:
        """Return every combination; workers times threads equal the cores."""
        return tuple(
            Serving(workers=workers, threads=self.cores // workers, batch_size=size, delay_ms=delay)
            for workers in worker_numbers(self.cores)
            for size in self.batch_sizes
            for delay in self.delays_ms
        )


def worker_numbers(cores: int) -> tuple[int, ...]:
    """Return numbers of workers that share the cores evenly: 1, the cores, and powers of two between.

    >>> worker_numbers(8), worker_numbers(6), worker_numbers(1)
    ((1, 2, 4, 8), (1, 2, 6), (1,))
    """
    found = {1, cores} | {2**power for power in range(cores.bit_length()) if cores % 2**power == 0}
    return tuple(sorted(found))


def read_numbers(text: str) -> tuple[int, ...]:
    """Parse whole numbers of an option.

    Raises:
        ValueError: the text has another form.

    >>> read_numbers("1, 8")
    (1, 8)
    """
    try:
        return tuple(int(each) for each in text.split(","))
    except ValueError as cause:
        raise ValueError(f"expected whole numbers with commas between, as in 1,8,32; got {text!r}") from cause


def read_peers(text: str) -> tuple[str, ...]:
    """Parse the peers of `--peers`.

    >>> read_peers("grpc, litserve"), read_peers("none")
    (('grpc', 'litserve'), ())
    """
    names: Sequence[str] = [each.strip() for each in text.split(",") if each.strip()]
    return () if list(names) == ["none"] else tuple(names)
