"""How often an operation may be called, counted as the networks count: in fixed windows."""

from __future__ import annotations

import time
from dataclasses import dataclass


@dataclass(slots=True)
class RateWindow:
    """So many calls in so many seconds, from the first one on."""

    limit: int
    window_s: float
    enforced: bool = True
    used: int = 0
    reset_at: float = 0.0

    def take(self) -> bool:
        """Count a call; False when it is one too many."""
        now = time.time()
        if now >= self.reset_at:
            self.used, self.reset_at = 0, now + self.window_s
        if self.enforced and self.used >= self.limit:
            return False
        self.used += 1
        return True

    @property
    def remaining(self) -> int:
        """Calls that are left in this window."""
        return max(0, self.limit - self.used)

    def headers(self) -> dict[str, str]:
        """The window as X shows it with each answer."""
        return {
            "x-rate-limit-limit": str(self.limit),
            "x-rate-limit-remaining": str(self.remaining),
            "x-rate-limit-reset": str(int(self.reset_at) + 1),
        }
