"""Source posts: what the bot reads on the networks or from a file."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


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
    """One item of a feed, as its source gave it."""

    id: str
    """Unique over all networks: X's bare id, "bsky:..." and "masto:..." for Bluesky's and Mastodon's."""
    text: str
    """Whole, with entities such as `&amp;` as the source gave them."""
    author: str = ""
    created_at: str = ""
    kind: Kind = Kind.FEED
    lang: str = ""
    """As the network says, "en"; empty when it does not."""
    url: str = ""
    """Where people read it."""

    @property
    def network(self) -> str:
        """The network that the id belongs to; empty for a row of a file, which may be from anywhere.

        >>> SourcePost(id="bsky:at://1", text="", kind=Kind.TIMELINE).network
        'bsky'
        """
        if self.kind is Kind.FEED:
            return ""
        prefix, colon, _ = self.id.partition(":")
        return prefix if colon else "x"


@dataclass(frozen=True, slots=True, kw_only=True)
class BadRow:
    """A row of a feed that is no tweet: recorded and passed over."""

    line: int
    """Counted from 1."""
    reason: str
    excerpt: str
    """The beginning of the row."""
