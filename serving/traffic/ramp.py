"""Ramp: a weight that changes step by step, as a pure function of the clock.

Nobody writes while a ramp runs: every host computes the same weight from the same tag. Its form is

    from=10 to=50 step=10 every=1800 start=2026-11-29T20:00:00Z

with weights, a number of seconds (or 30m, 2h, 1d) and a time in UTC.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Self

_KEYS: Final = ("from", "to", "step", "every", "start")
EXAMPLE: Final = "from=10 to=50 step=10 every=30m start=2026-11-29T20:00:00Z"
_SPAN: Final = re.compile(r"([0-9]+(?:\.[0-9]+)?)(s|m|h|d)?")
_SECONDS: Final = {None: 1.0, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_NUMBER: Final = re.compile(r"[-+]?[0-9]+(?:\.[0-9]*)?(?:[eE][-+]?[0-9]+)?|[-+]?\.[0-9]+")
MAX_WEIGHT: Final = 1e9
MAX_DAYS: Final = 366
"""Longest ramp: one that takes longer counts as one that never ends."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RampStep:
    """A step that a ramp has not taken yet."""

    weight: float
    """Weight from then on."""
    at_s: float
    """Time of the step, in seconds since 1970."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ramp:
    """A weight that goes from one value to another in equal steps, up or down; the last step may be shorter.

    Before its start a ramp has its first weight, after its end its last one.

    Raises:
        ValueError: a value is out of range, or the ramp never ends.
    """

    first: float
    last: float
    step: float
    """Distance between two weights."""
    every_s: float
    """Seconds between two steps; the first step is this long after the start."""
    start_s: float
    """Start, in seconds since 1970."""

    def __post_init__(self) -> None:
        for name, value in (("from", self.first), ("to", self.last)):
            if not 0 <= value <= MAX_WEIGHT:
                raise ValueError(f"{name} must be a weight from 0 to {MAX_WEIGHT:g}, got {value:g}")
        for name, value in (("step", self.step), ("every", self.every_s)):
            if not (math.isfinite(value) and value > 0):
                raise ValueError(f"{name} must be more than 0, got {value:g}: the ramp would never end")
        if not math.isfinite(self.start_s):
            raise ValueError(f"start must be a time, got {self.start_s:g}")
        if not abs(self.last - self.first) / self.step * self.every_s <= MAX_DAYS * _SECONDS["d"]:
            raise ValueError(f"the ramp would take more than {MAX_DAYS} days: take larger steps, or more often")

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a ramp from its tag.

        Raises:
            ValueError: the text is not a ramp, or its ramp is not one.

        >>> Ramp.parse("from=10 to=30 step=10 every=30m start=2026-11-29T20:00:00Z").weight(1795986000)
        30.0
        """
        pairs = [part.partition("=")[::2] for part in text.split()]
        values = dict(pairs)
        if len(pairs) != len(_KEYS) or set(values) != set(_KEYS):
            raise ValueError(f"a ramp has {', '.join(_KEYS)}, each once, as in {EXAMPLE!r}")
        return cls(
            first=parse_weight(values["from"]),
            last=parse_weight(values["to"]),
            step=parse_weight(values["step"]),
            every_s=parse_span_s(values["every"]),
            start_s=_parse_time_s(values["start"]),
        )

    def weight(self, now_s: float) -> float:
        """Return the weight at a time in seconds since 1970."""
        return self._weight_after(self._steps_taken(now_s))

    def next_step(self, now_s: float) -> RampStep | None:
        """Return the step after a time in seconds since 1970; None after the last one."""
        taken = self._steps_taken(now_s)
        if taken >= self._num_steps:
            return None
        return RampStep(weight=self._weight_after(taken + 1), at_s=self.start_s + (taken + 1) * self.every_s)

    @property
    def end_s(self) -> float:
        """Time of the last step, in seconds since 1970."""
        return self.start_s + self._num_steps * self.every_s

    @property
    def _num_steps(self) -> int:
        return math.ceil(abs(self.last - self.first) / self.step)

    def _steps_taken(self, now_s: float) -> int:
        passed = min(max((now_s - self.start_s) / self.every_s, 0.0), float(self._num_steps))
        return math.floor(passed)

    def _weight_after(self, steps: int) -> float:
        if steps >= self._num_steps:
            return self.last
        return self.first + math.copysign(steps * self.step, self.last - self.first)

    def __str__(self) -> str:
        """Return the ramp as its tag holds it."""
        start = datetime.fromtimestamp(self.start_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        numbers = {"from": self.first, "to": self.last, "step": self.step, "every": self.every_s}
        return " ".join([*(f"{name}={value:.10g}" for name, value in numbers.items()), f"start={start}"])


def parse_weight(text: str) -> float:
    """Read a weight: a number of 0 or more; a percent sign may follow.

    Raises:
        ValueError: the text is not one.
    """
    written = text.strip().removesuffix("%").rstrip()
    if not _NUMBER.fullmatch(written):
        raise ValueError("it is not a number")
    value = float(written)
    if value > MAX_WEIGHT:
        raise ValueError(f"it is more than {MAX_WEIGHT:g}")
    if value < 0:
        raise ValueError("it is negative")
    return value


def parse_span_s(text: str) -> float:
    """Read a length of time: a number of seconds, or a number with s, m, h or d. Return it in seconds.

    Raises:
        ValueError: the text is not one.

    >>> parse_span_s("30m"), parse_span_s("90")
    (1800.0, 90.0)
    """
    match = _SPAN.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"{text!r} is not a length of time: write 1800, 30m, 2h or 1d")
    return float(match[1]) * _SECONDS[match[2]]


def _parse_time_s(text: str) -> float:
    try:
        time = datetime.fromisoformat(text)
        return (time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError) as cause:
        raise ValueError(f"{text!r} is not a time: write it in UTC, as in 2026-11-29T20:00:00Z") from cause
