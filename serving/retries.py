"""Retries of the client: how often, after which pause, and how many all calls together may cause.

gRPC's own retries (a `retryPolicy` in the service config) were measured and not taken: they wait for a pause that
outlasts the deadline and then report the deadline instead of the reason, allow at most 5 attempts, draw pauses from
80 to 120% of their backoff, so that refused clients come back together, and count their budget per channel.
"""

from __future__ import annotations

import math
import random
import threading
import time
import weakref
from dataclasses import dataclass
from typing import Final

_MOST_ATTEMPTS: Final = 100
_FIRST_TOKENS: Final = 10.0
_MOST_TOKENS: Final = 100.0
_TOKENS_PER_SUCCESS: Final = 0.1
_TOKENS_PER_S: Final = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """Number of attempts and pauses between them, for calls that fail because the service is unavailable or overloaded.

    The pause before attempt n+1 is drawn uniformly from 0 to min(max_backoff_s, initial_backoff_s * 2^(n-1)), and is at
    least as long as the service asks for. No attempt starts after the call's deadline, and none that the
    `RetryBudget` of the gateway's address cannot pay for.

    Raises:
        ValueError: a value is out of range.
    """

    max_attempts: int = 3
    """Maximum number of attempts, the first included; 1 disables retries, and 100 is the limit."""
    initial_backoff_s: float = 0.1
    max_backoff_s: float = 2.0

    def __post_init__(self) -> None:
        if not 1 <= self.max_attempts <= _MOST_ATTEMPTS:
            raise ValueError(f"max_attempts must be at least 1 and at most {_MOST_ATTEMPTS}, got {self.max_attempts}")
        if not 0 <= self.initial_backoff_s <= self.max_backoff_s < math.inf:
            raise ValueError(
                "backoffs must be finite and satisfy 0 <= initial_backoff_s <= max_backoff_s, "
                f"got {self.initial_backoff_s:g} and {self.max_backoff_s:g}"
            )

    def draw_pause_s(self, attempt: int) -> float:
        """Draw the pause after an attempt (the first is 1), in seconds."""
        return random.uniform(0, min(self.max_backoff_s, self.initial_backoff_s * 2 ** (attempt - 1)))


class RetryBudget:
    """Budget from which retries are paid, so that they cannot multiply the load of a service that refuses everybody.

    A retry costs a token. There are 10 at first; each call that succeeds adds a tenth of one, as does each second, up
    to 100. Where nothing succeeds, retries therefore end soon, and where some calls succeed, retries add at most a
    tenth of their number. First attempts are free, so a service that recovers is used at once. Thread-safe.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._tokens = _FIRST_TOKENS
        self._counted_at = time.monotonic()

    def earn(self) -> None:
        """Note that a call succeeded."""
        with self._lock:
            self._tokens = min(_MOST_TOKENS, self._tokens + _TOKENS_PER_SUCCESS)

    def pay(self) -> bool:
        """Pay for one retry, and return whether the budget could."""
        with self._lock:
            now = time.monotonic()
            self._tokens = min(_MOST_TOKENS, self._tokens + _TOKENS_PER_S * (now - self._counted_at))
            self._counted_at = now
            if self._tokens < 1:
                return False
            self._tokens -= 1
            return True


_budgets: Final[weakref.WeakValueDictionary[str, RetryBudget]] = weakref.WeakValueDictionary()
_budgets_lock: Final = threading.Lock()


def budget_of(target: str) -> RetryBudget:
    """Return the budget that all clients of one address share in this process, for as long as one of them lives."""
    with _budgets_lock:
        budget = _budgets.get(target)
        if budget is None:
            budget = _budgets[target] = RetryBudget()
        return budget
