"""Source posts: what the bot reads on the networks or from a file."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from bot.domain.networks import network_name


class SourcePostStatus(StrEnum):
    """Status of a source post; every status but `PENDING` is final, so a post is processed once."""

    PENDING = "pending"
    """Read and stored, not processed yet."""
    DONE = "done"
    """The candidates are in the queue."""
    NO_SONG = "no song"
    """The parser found no song in the text."""
    FAILED = "failed"
    """At least one of the songs was refused; the reason is stored with the post."""


class Kind(StrEnum):
    """Origin of a source post."""

    FEED = "feed"
    """A row of a file."""
    TIMELINE = "timeline"
    """A post by an account that the bot follows."""
    MENTION = "mention"
    """A post that names the bot: its author asks for commentary, and may be replied to."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SourcePost:
    """A post that the bot reads, as its source delivered it."""

    id: str
    """The network's id behind its `Network.id_prefix`, so that the id is unique over all networks."""
    text: str
    """The whole text, with entities such as `&amp;` as the source delivered them."""
    author: str = ""
    created_at: str = ""
    kind: Kind = Kind.FEED
    lang: str = ""
    """Language by the network, such as "en"; empty when the network does not give one."""
    url: str = ""
    """Web address of the post."""

    @property
    def network(self) -> str:
        """Name of the network that the post is from; empty for a row of a file, which may be from anywhere.

        >>> SourcePost(id="bsky:at://1", text="", kind=Kind.TIMELINE).network
        'bluesky'
        """
        return "" if self.kind is Kind.FEED else network_name(self.id)


@dataclass(frozen=True, slots=True, kw_only=True)
class BadRow:
    """A row of a feed that is not a valid source post: recorded and skipped."""

    line: int
    """Line number, from 1."""
    reason: str
    excerpt: str
    """Beginning of the row."""
