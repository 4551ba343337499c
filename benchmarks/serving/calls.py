"""Settings and records of a load generator: phases of load, and single calls.

It needs only the standard library and the wire contract, since the interpreters of other environments import it.
"""

from __future__ import annotations

import json
import random
from dataclasses import asdict, dataclass
from functools import cache
from typing import Any, Final

from handlers.contract import CommentaryRequest, SamplingParams

OK: Final = "OK"

_GENRES: Final = (("dream pop",), ("shoegaze", "indie rock"), ("ambient", "drone"), ("folk",), ("techno",), ())


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """Values that all requests share; they differ by seed, genres and title.

    Raises:
        ContractError: a value is out of range.
    """

    samples: int = 5
    max_tokens: int = 64
    best_of: int = 1
    """Candidates for each sample: one, so that servers are compared by the sequences that they return."""

    def __post_init__(self) -> None:
        self.request(0)

    def request(self, number: int) -> CommentaryRequest:
        """Return the request of a number, which is the same for all servers."""
        return CommentaryRequest(
            genres=_GENRES[number % len(_GENRES)],
            artist="The Loopbacks",
            title=f"Port {number}",
            num_samples=self.samples,
            best_of=self.best_of,
            sampling=SamplingParams(max_tokens=self.max_tokens),
            seed=number,
        )

    def payload(self, number: int) -> str:
        """Return the request as JSON, quickly, since clients and server share the cores."""
        return str(number).join(_around_the_number(self, number % len(_GENRES)))


@cache
def _around_the_number(asked: Asked, place: int) -> tuple[str, ...]:
    mark = place + len(_GENRES) * 10**12
    return tuple(asked.request(mark).to_json().decode().split(str(mark)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Phase:
    """A period of load: a closed loop of `clients`, or an open loop of `rate` requests a second.

    Calls that end in the first `settle_s` seconds are not counted, nor those that end later than `seconds` after that.

    Raises:
        ValueError: both clients and a rate are given, or neither.
    """

    clients: int = 0
    rate: float = 0.0
    """Rate of Poisson arrivals, which do not wait for answers."""
    settle_s: float = 1.0
    seconds: float = 5.0
    first: int = 0
    """Number of the first request."""

    def __post_init__(self) -> None:
        if (self.clients > 0) == (self.rate > 0):
            raise ValueError(f"a phase has clients or a rate, got {self.clients} clients and {self.rate:g} requests/s")

    @property
    def total_s(self) -> float:
        """Time in which requests start, in seconds."""
        return self.settle_s + self.seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One request and its result; times in seconds since the start of the phase."""

    started: float
    """Time of the start; in an open loop the scheduled one, so that a late start counts as waiting."""
    ended: float
    code: str = OK
    """Name of a gRPC status code, or the HTTP error."""
    decode_ms: float = 0.0
    """Decode time of its batch. Calls of one batch share it to the last digit, and only they do."""
    samples: int = 0

    @property
    def latency_ms(self) -> float:
        """Latency at the client."""
        return 1000 * (self.ended - self.started)


def arrivals(rate: float, seconds: float, seed: int) -> list[float]:
    """Draw the start times of a Poisson process, in seconds.

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
    """Settings of a load generator."""

    protocol: str
    """grpc (TorchServe's), gateway, interleaved (the gateway, asked for all arms of its experiment), oip (the gateway,
    by the Open Inference Protocol), bare_grpc, litserve, rayserve or bentoml."""
    address: str
    out: str
    """File for the calls of every phase."""
    phases: tuple[Phase, ...]
    asked: Asked
    model: str = ""
    version: str = ""
    patience_s: float = 60.0
    """Maximum time until the first correct answer, in which servers load their model."""
    deadline_s: float = 30.0
    keys: str = ""
    """Folder of the keys that TorchServe asks for; empty for other servers. Not the key itself: every user of the
    machine can read the command lines of programs."""
    ca: str = ""
    """File of the authority of the server's certificate; empty speaks in the clear."""
    token_file: str = ""
    """File of the bearer token; empty sends none."""

    def to_json(self) -> str:
        """Encode the settings as one argument of a command line."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> LoadSettings:
        """Decode the result of `to_json`."""
        values: dict[str, Any] = json.loads(text)
        values["phases"] = tuple(Phase(**each) for each in values["phases"])
        values["asked"] = Asked(**values["asked"])
        return cls(**values)
