"""What the networks' calls cost, estimated from what was counted."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

PRICES = MappingProxyType({"x read": 0.005, "x post": 0.015, "x post with a link": 0.20})
"""US dollars for one, as X asks of self-serve apps that pay per use, February 2026; what is not here is free."""


def spend(usage: Mapping[str, int]) -> float:
    """US dollars for what was used.

    >>> spend({"x read": 100, "x post": 2, "bsky read": 500})
    0.53
    """
    return round(sum(PRICES.get(item, 0.0) * count for item, count in usage.items()), 4)
