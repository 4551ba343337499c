"""Rates with Wilson's confidence interval, which holds for few trials and for rates near 0 or 1.

E. B. Wilson, "Probable inference, the law of succession, and statistical inference", JASA 22 (1927).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

CONFIDENCE = 0.95
_Z = NormalDist().inv_cdf((1 + CONFIDENCE) / 2)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """Rate of `count` successes in `total` independent trials.

    >>> f"{Rate(count=8, total=10):.1%}"
    '80.0% (49.0-94.3)'

    Raises:
        ValueError: not 0 <= count <= total.
    """

    count: int
    total: int

    def __post_init__(self) -> None:
        if not 0 <= self.count <= self.total:
            raise ValueError(f"a rate needs 0 <= count <= total, got {self.count} of {self.total}")

    @property
    def share(self) -> float | None:
        """The rate itself; None without any trial."""
        return self.count / self.total if self.total else None

    @property
    def low(self) -> float:
        """Lower end of the 95% interval; 0 without any trial."""
        # The ends at 0 and 1 are exact; rounding errors would move them inwards.
        return 0.0 if self.count == 0 else self._centre - self._half

    @property
    def high(self) -> float:
        """Upper end of the 95% interval; 1 without any trial."""
        return 1.0 if self.count == self.total else self._centre + self._half

    @property
    def _centre(self) -> float:
        return (self.count + _Z**2 / 2) / (self.total + _Z**2)

    @property
    def _half(self) -> float:
        variance = self.count * (self.total - self.count) / self.total + _Z**2 / 4
        return _Z * math.sqrt(variance) / (self.total + _Z**2)

    def as_document(self) -> dict[str, float | int | None]:
        """Return the rate for a report: value, low, high, count, total."""
        return {"value": self.share, "low": self.low, "high": self.high, "count": self.count, "total": self.total}

    def __format__(self, spec: str) -> str:
        if self.share is None:
            return "-"
        low, high = (f"{end:{spec}}".rstrip("%") for end in (self.low, self.high))
        return f"{self.share:{spec}} ({low}-{high})"
