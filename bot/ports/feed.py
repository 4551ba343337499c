"""Where tweets come from."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

from bot.domain.source_posts import BadRow, SourcePost


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedPage:
    """Some items of a feed, and where the next page begins."""

    source_posts: tuple[SourcePost, ...]
    cursor: str
    """For the source alone to understand; stored together with the page's tweets."""
    more: bool
    """Whether another page can be read at once."""
    bad_rows: tuple[BadRow, ...] = ()
    notice: str = ""
    """Something that the operator should know, such as a feed that was replaced."""
    billed: int = 0
    """Items that the network asks money for, those of the bot's own account and known ones included."""


class Source(ABC):
    """Where tweets come from."""

    @property
    @abstractmethod
    def name(self) -> str:
        """The key of the source's cursor; the same for the same feed, always."""

    @abstractmethod
    def read(self, cursor: str | None, limit: int) -> FeedPage:
        """At most `limit` rows after the cursor; without one from the beginning, or from where the source sees fit.

        Raises:
            FeedError: the feed cannot be read.
            NetworkError: the network did not answer; `retry_at` says when to come back where that is known.
        """

    def describe(self, cursor: str) -> str:
        """A place in the source, for people."""
        return cursor

    def check(self) -> str:
        """Who the bot is there, by a call that costs next to nothing; for people.

        Raises:
            FeedError, NetworkError: it cannot be read.
        """
        return self.name
