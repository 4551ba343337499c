"""Outgoing posts: accepted candidates on their way to a network."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

from bot.domain.songs.song import SongReport

_ADDRESS = re.compile(r"\w+://\S+")
_PARTICULAR = re.compile(r"\d+|'[^']*'|\"[^\"]*\"|“[^”]*”")
_MAX_LABEL = 100


class PostMode(StrEnum):
    """Relation of an outgoing post to its source post."""

    STANDALONE = "standalone"
    REPLY = "reply"
    QUOTE = "quote"


class OutgoingPostStatus(StrEnum):
    """Status of an outgoing post.

    `SENT` and `REFUSED` are final. `CANCELLED` is final unless a new verdict accepts the candidate again.
    """

    PENDING = "pending"
    """Accepted, not sent yet."""
    SENDING = "sending"
    """A call is in flight, or the bot was killed during it."""
    SENT = "sent"
    UNKNOWN = "unknown"
    """The call ended without a clear result; the post is looked up among the account's own posts."""
    REFUSED = "refused"
    """Refused by the network or by the bot's own rules; the reason is stored with the post."""
    CANCELLED = "cancelled"
    """The verdict was undone or is too old."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OutgoingPost:
    """Post of an accepted candidate; a candidate has at most one."""

    candidate_id: str
    text: str
    """The whole text as the network gets it, once an attempt was made; before, the candidate's text alone."""
    is_whole: bool = False
    """Whether `text` is the whole text. It is stored before the attempt: a post under way keeps its text."""
    report: SongReport | None = None
    """The song, for outputs that keep more than the text; None where it was not read."""
    network: str = ""
    """`Publisher.name` of the network that the post goes to; empty before the first attempt."""
    mode: PostMode = PostMode.STANDALONE
    in_reply_to: str | None = None
    """`SourcePost.id` that a reply or a quote refers to."""
    status: OutgoingPostStatus = OutgoingPostStatus.PENDING
    attempts: int = 0
    after_id: str | None = None
    """Newest known post of the account before the attempt; a lookup of the post searches after it."""
    attempted_at: str | None = None
    external_id: str | None = None
    """The network's id of the post, once it is known to be sent."""
    reason: str = ""
    """Reason why the post was refused, cancelled, postponed or is in doubt."""


def refusal_label(reason: str) -> str:
    """Return a reason without what differs from post to post: numbers, addresses and quoted words.

    >>> refusal_label("X answered 403: the post 17 (at://a/b) is a duplicate")
    'X answered #: the post # ( is a duplicate'
    """
    return _PARTICULAR.sub("#", _ADDRESS.sub("", reason))[:_MAX_LABEL].strip()


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnPost:
    """A post of the bot's own account, as the network shows it."""

    id: str
    text: str
    """Text as it was written: entities unescaped, shortened links expanded."""
    created_at: str = ""
    is_unread: bool = False
    """Whether the network sent the post in a form that the bot cannot read; the text is empty then."""
    candidate_id: str = ""
    """Candidate of the post, where the output keeps it."""
    in_reply_to: str = ""
    """`SourcePost.id` of the post that it is a reply to; empty if it is not a reply."""

    @property
    def time(self) -> datetime | None:
        """The aware time of the post; None if the network gave none that can be read."""
        try:
            time = datetime.fromisoformat(self.created_at)
        except ValueError:
            return None
        return time if time.tzinfo is not None else time.replace(tzinfo=UTC)

    def is_before(self, time: datetime) -> bool:
        """Whether the post is known to be older than an aware time."""
        return self.time is not None and self.time < time
