"""The cost of calls to the networks, estimated from counts of what was used."""

from __future__ import annotations

from collections.abc import Mapping

from bot.domain.networks import NETWORKS

PRICES: Mapping[str, float] = {
    f"{network.name} {item}": price for network in NETWORKS.values() for item, price in network.prices.items()
}
"""US dollars for one item of usage; items that are missing are free."""


def spend(usage: Mapping[str, int]) -> float:
    """US dollars for what was used.

    >>> spend({"x read": 100, "x post": 2, "bluesky read": 500})
    0.53
    """
    return round(sum(PRICES.get(item, 0.0) * count for item, count in usage.items()), 4)
