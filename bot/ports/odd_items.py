"""Record of odd items."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable

from bot.domain.odd_items import OddItem


class OddItems(ABC):
    """Record of what was set aside; bounded, while its counts never fall. Called from several threads at once."""

    @abstractmethod
    def set_aside(self, part: str, items: Iterable[OddItem]) -> None:
        """Keep odd items of a part of the bot; one that is kept already counts once."""
