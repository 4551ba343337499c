"""Outcomes of the calls to a version, which tell about its workers."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

import grpc

from serving.workers.faults import InferenceError

_SIGNS_OF_LIFE: Final = frozenset({grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.INTERNAL})
"""Status of a call that a worker answered with an error."""


@dataclass(slots=True, kw_only=True)
class Outcomes:
    """Outcomes of the calls that one version's workers were sent, by the worker host."""

    answered: int = 0
    """Calls that a worker answered so far, errors included."""
    lost: int = 0
    """Calls so far that ended without an answer, those included that were too late to be decoded."""
    last_s: float = 0.0
    """Time at which the last call was sent or answered, in seconds of `time.monotonic`; 0 before the first."""
    waiting_since_s: float | None = None
    """Time since which somebody has been waiting and nothing has been answered; None while nobody waits. A call that is
    lost does not end the wait: the next one waits on."""
    _begun_s: dict[int, float] = field(default_factory=dict)
    _next: int = 0

    @property
    def outstanding(self) -> int:
        """Number of calls that have no outcome yet."""
        return len(self._begun_s)

    @property
    def oldest_s(self) -> float | None:
        """Time at which the oldest call without an outcome was sent; None if there is none."""
        return next(iter(self._begun_s.values()), None)

    @contextmanager
    def call(self) -> Iterator[None]:
        """Note the call that the block makes, and how it ends."""
        number, self._next = self._next, self._next + 1
        self._begun_s[number] = self.last_s = time.monotonic()
        if self.waiting_since_s is None:
            self.waiting_since_s = self.last_s
        alive = False
        try:
            yield
            alive = True
        except InferenceError as fault:
            alive = fault.code in _SIGNS_OF_LIFE
            raise
        finally:
            del self._begun_s[number]
            if alive:
                self.answered += 1
                self.last_s = time.monotonic()
                self.waiting_since_s = self.last_s if self._begun_s else None
            else:
                self.lost += 1
