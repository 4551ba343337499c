"""Counts of the sync's events by model."""

from __future__ import annotations

from collections import Counter
from typing import Final

from typing_extensions import override

from serving.sync.observer import SyncObserver


class SyncCounts(SyncObserver):
    """Counts since the service started; every model is there from the start.

    Args:
        models: names of the models that are followed.
    """

    def __init__(self, models: tuple[str, ...]) -> None:
        self.switches: Final = Counter(dict.fromkeys(models, 0))
        self.errors: Final = Counter(dict.fromkeys(models, 0))
        self.refused_versions: Final = Counter(dict.fromkeys(models, 0))

    @override
    def switched(self, model: str) -> None:
        self.switches[model] += 1

    @override
    def failed(self, model: str) -> None:
        self.errors[model] += 1

    @override
    def refused(self, model: str) -> None:
        self.refused_versions[model] += 1
