"""Outgoing posts: accepted candidates on their way to a network."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class PostMode(StrEnum):
    """How a post stands to the tweet that it answers."""

    STANDALONE = "standalone"
    REPLY = "reply"
    QUOTE = "quote"


class OutgoingPostStatus(StrEnum):
    """Where a post stands. `SENT`, `REFUSED` and `CANCELLED` are final, save that a new verdict revives the last."""

    PENDING = "pending"
    """Accepted, and to be sent."""
    SENDING = "sending"
    """A call is under way, or the bot was killed during it."""
    SENT = "sent"
    UNKNOWN = "unknown"
    """The call ended without saying whether the post is out; to be looked up among the account's own posts."""
    REFUSED = "refused"
    """The network or the bot's own rules refuse it; the reason is stored with it."""
    CANCELLED = "cancelled"
    """The verdict was taken back or is too old."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OutgoingPost:
    """An accepted candidate on its way out; there is at most one for a candidate."""

    candidate_id: str
    text: str
    """The curator's text where there is one, else the sample's."""
    network: str = ""
    """Where it goes or went, as `Publisher.name` has it; empty before the first attempt."""
    mode: PostMode = PostMode.STANDALONE
    in_reply_to: str | None = None
    """Id of the tweet that a reply or a quote refers to, as `SourcePost.id` has it."""
    status: OutgoingPostStatus = OutgoingPostStatus.PENDING
    attempts: int = 0
    after_id: str | None = None
    """The newest post of the account that the bot knew of when it began to send: what is looked up lies behind it."""
    attempted_at: str | None = None
    external_id: str | None = None
    """The network's id of the post, once it is known to be out."""
    reason: str = ""
    """Why it was refused, cancelled, put off or is in doubt."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnPost:
    """A post of the bot's account, as the network shows it."""

    id: str
    text: str
    """As it was written: entities unescaped, shortened links written out."""
    created_at: str = ""
