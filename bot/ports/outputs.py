"""The network that candidates are posted to, and the outbox."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator, Sequence
from datetime import datetime

from bot.domain.outgoing_posts import OutgoingPost, OutgoingPostStatus, OwnPost, PostMode
from bot.domain.pace import DEFAULT_PACE, Pace
from bot.domain.post_text import Draft
from bot.ports.accepted_posts import AcceptedPosts


class Publisher(ABC):
    """Network, or file, that accepted candidates are posted to. Called from one thread."""

    @property
    @abstractmethod
    def name(self) -> str:
        """Name of the network, as in `bot.domain.networks`; or "file"."""

    @property
    @abstractmethod
    def capabilities(self) -> frozenset[PostMode]:
        """Modes that the account may use; always includes `STANDALONE`."""

    @abstractmethod
    def publish(self, post: OutgoingPost) -> str:
        """Publish a post in one call, which is never repeated here; return the network's id of the post.

        Raises:
            DoubtfulError: it may or may not be published: a time-out, a broken connection, a 5xx.
            PostRefusedError: it cannot be published: too long, a duplicate, a reply that is not allowed.
            RateLimitedError, NetworkUnavailableError, CredentialsError: it is not published; a later call may succeed.
        """

    @abstractmethod
    def recent(self, after: str | None) -> Sequence[OwnPost]:
        """List the account's own posts behind an id, the newest first; without an id, the latest hundred.

        An id is better than a time: the clocks of the bot and the network may differ, and only new posts are billed.

        Raises:
            NetworkError: the posts cannot be read.
        """

    @abstractmethod
    def back_to(self, after: str | None, since: datetime) -> Iterator[OwnPost]:
        """List all of the account's own posts behind an id and all that were made since a time, the newest first.

        More posts may be listed. Both limits are given because either may be wrong: a restored backup knows no later
        post, and the clock that it was made by may have been set.

        Raises:
            NetworkError: the posts cannot be read, or not that far back.
        """

    def check(self) -> str:
        """Make a call that costs next to nothing; the name of the account, for people.

        Raises:
            NetworkError: the account cannot be used.
        """
        return self.name


class Outbox(AcceptedPosts):
    """Posts to be sent. Every method is one transaction, durable when it returns."""

    @abstractmethod
    def enqueue_accepted(self, *, since: datetime) -> int:
        """Create the missing posts of candidates that were accepted since a time; return their number."""

    @abstractmethod
    def cancel_stale(self, *, before: datetime) -> int:
        """Cancel pending posts that were accepted, and confirmed if they were, before a time; return their number."""

    @abstractmethod
    def pending_posts(self, limit: int, *, pace: Pace = DEFAULT_PACE) -> list[tuple[OutgoingPost, Draft]]:
        """Return pending posts with the candidates' texts and songs, in the order in which they were accepted.

        Left out are those that can still be taken back, and those that wait for a confirmation, which never hold up
        the posts behind them.
        """

    @abstractmethod
    def is_repeat(self, candidate_id: str, text: str) -> bool:
        """Whether another candidate's post with the same text was or may have been sent."""

    @abstractmethod
    def claim(
        self,
        candidate_id: str,
        *,
        text: str,
        network: str,
        mode: PostMode,
        in_reply_to: str | None,
        made_of: str | None = None,
    ) -> OutgoingPost | None:
        """Set a pending post to `SENDING`, with the whole text as the network gets it.

        None if another bot was faster, the verdict was taken back, or the candidate's text is no longer `made_of`.
        """

    @abstractmethod
    def set_post(
        self, candidate_id: str, status: OutgoingPostStatus, *, external_id: str | None = None, reason: str = ""
    ) -> None:
        """Record the outcome of a post.

        One that becomes `PENDING` again is cancelled if it is no longer accepted, and gets the text that was accepted
        meanwhile, if any. A candidate that was taken back and whose post is `SENT` after all is accepted again.
        """

    @abstractmethod
    def doubtful_posts(self) -> list[OutgoingPost]:
        """Return the posts that are `SENDING` or `UNKNOWN`, the oldest attempt first."""

    @abstractmethod
    def external_ids(self, ids: Collection[str]) -> set[str]:
        """Return those of the network's ids that belong to posts known to be sent."""

    @abstractmethod
    def count_looked_up(self, network: str, posts: int) -> None:
        """Add posts that were read on the account's own timeline to this month's usage."""
