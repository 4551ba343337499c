"""Rate limits in fixed windows, as the networks count them."""

from __future__ import annotations

import time
from dataclasses import dataclass


@dataclass(slots=True)
class RateWindow:
    """At most `limit` calls in `window_s` seconds, counted from the first call of a window."""

    limit: int
    window_s: float
    enforced: bool = True
    used: int = 0
    reset_at: float = 0.0

    def take(self) -> bool:
        """Count a call; return False if it exceeds the limit."""
        now = time.time()
        if now >= self.reset_at:
            self.used, self.reset_at = 0, now + self.window_s
        if self.enforced and self.used >= self.limit:
            return False
        self.used += 1
        return True

    @property
    def remaining(self) -> int:
        """Calls left in the current window."""
        return max(0, self.limit - self.used)

    def headers(self) -> dict[str, str]:
        """Return the window as the headers that X sends with each answer."""
        return {
            "x-rate-limit-limit": str(self.limit),
            "x-rate-limit-remaining": str(self.remaining),
            "x-rate-limit-reset": str(int(self.reset_at) + 1),
        }
