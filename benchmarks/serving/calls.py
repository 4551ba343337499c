"""What a load generator is asked for and what it writes down: phases of load, and calls one by one.

Only the standard library and the wire contract: the interpreters of other environments import this.
"""

from __future__ import annotations

import json
import random
from dataclasses import asdict, dataclass
from functools import cache
from typing import Any, Final

from handlers.contract import CommentaryRequest

OK: Final = "OK"

_GENRES: Final = (("dream pop",), ("shoegaze", "indie rock"), ("ambient", "drone"), ("folk",), ("techno",), ())


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What every request asks for; they differ by seed and genres.

    Raises:
        ContractError: the values are out of a request's range.
    """

    samples: int = 5
    max_tokens: int = 64

    def __post_init__(self) -> None:
        self.request(0)

    def request(self, number: int) -> CommentaryRequest:
        """The request of a number; the same whoever is asked."""
        return CommentaryRequest(
            genres=_GENRES[number % len(_GENRES)],
            artist="The Loopbacks",
            title="Ports",
            num_samples=self.samples,
            max_tokens=self.max_tokens,
            seed=number,
        )

    def payload(self, number: int) -> str:
        """The request as JSON; quickly, as the client's time is taken from the server's cores."""
        before, after = _around_the_seed(self, number % len(_GENRES))
        return f"{before}{number}{after}"


@cache
def _around_the_seed(asked: Asked, place: int) -> tuple[str, str]:
    mark = place + len(_GENRES) * 10**12
    before, _, after = asked.request(mark).to_json().decode().partition(str(mark))
    return before, after


@dataclass(frozen=True, slots=True, kw_only=True)
class Phase:
    """A stretch of load: `clients` that each ask again when they are answered, or `rate` requests a second.

    Calls that end in the first `settle_s` seconds are not counted, nor those that end later than `seconds` after that.

    Raises:
        ValueError: there are clients and a rate, or neither.
    """

    clients: int = 0
    rate: float = 0.0
    """Of Poisson arrivals, whether answers come or not."""
    settle_s: float = 1.0
    seconds: float = 5.0
    first: int = 0
    """Number of the first request."""

    def __post_init__(self) -> None:
        if (self.clients > 0) == (self.rate > 0):
            raise ValueError(f"a phase has clients or a rate, got {self.clients} clients and {self.rate:g} requests/s")

    @property
    def total_s(self) -> float:
        """Seconds in which requests start."""
        return self.settle_s + self.seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One request and what became of it; times in seconds since the phase began."""

    started: float
    """With a rate: when it should have started, so that waiting for a late start counts."""
    ended: float
    code: str = OK
    """A gRPC status code's name, or what HTTP said."""
    decode_ms: float = 0.0
    """Of the batch that it was part of. To the last digit the same for all its calls, and for no others."""
    samples: int = 0

    @property
    def latency_ms(self) -> float:
        """As the client saw it."""
        return 1000 * (self.ended - self.started)


def arrivals(rate: float, seconds: float, seed: int) -> list[float]:
    """When requests of a Poisson process start, in seconds.

    >>> len(arrivals(100.0, 10.0, 1)) in range(900, 1100)
    True
    """
    drawn = random.Random(seed)
    times: list[float] = []
    now = drawn.expovariate(rate)
    while now < seconds:
        times.append(now)
        now += drawn.expovariate(rate)
    return times


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadSettings:
    """What a load generator does."""

    protocol: str
    """grpc (TorchServe's), gateway, bare_grpc, litserve, rayserve or bentoml."""
    address: str
    out: str
    """File that gets the calls of every phase."""
    phases: tuple[Phase, ...]
    asked: Asked
    model: str = ""
    version: str = ""
    patience_s: float = 60.0
    """For the first good answer: servers load their model."""
    deadline_s: float = 30.0

    def to_json(self) -> str:
        """As one argument of a command line."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> LoadSettings:
        """Read what `to_json` wrote."""
        values: dict[str, Any] = json.loads(text)
        values["phases"] = tuple(Phase(**each) for each in values["phases"])
        values["asked"] = Asked(**values["asked"])
        return cls(**values)
