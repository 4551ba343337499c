"""Sources of posts."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection
from dataclasses import dataclass

from bot.domain.odd_items import OddItem
from bot.domain.source_posts import SourcePost


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedPage:
    """Page of a feed."""

    source_posts: tuple[SourcePost, ...]
    cursor: str
    """Place behind the page, in a format of the source; stored together with the page's posts."""
    more: bool
    """Whether another page can be read at once."""
    odd_items: tuple[OddItem, ...] = ()
    """Rows and posts of the page that could not be read."""
    notice: str = ""
    """Message for the operator, such as that the feed was replaced."""
    billed: int = 0
    """Number of items that the network bills, including own and known posts."""


class Source(ABC):
    """Source of posts."""

    @property
    @abstractmethod
    def name(self) -> str:
        """Key of the source's cursor, always the same for a feed; it begins with the network's name and a colon."""

    @abstractmethod
    def read(self, cursor: str | None, limit: int) -> FeedPage:
        """Read at most `limit` rows behind the cursor; without a cursor, from a start that the source chooses.

        Raises:
            FeedError: the feed cannot be read.
            NetworkError: the network did not answer; `retry_at` is the time of the next attempt if it is known.
        """

    @property
    def handles(self) -> Collection[str]:
        """The account's own handles, as far as they are known without a call. No name of a song contains one."""
        return ()

    def describe(self, cursor: str) -> str:
        """A place in the source, in words."""
        return cursor

    def check(self) -> str:
        """Make a call that costs next to nothing; the name of the account, for people.

        Raises:
            FeedError, NetworkError: the source cannot be read.
        """
        return self.name
