"""What the bot remembers, and the queue that curators see."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from bot.domain.candidates import Candidate, CandidateStatus, Verdict
from bot.domain.outgoing_posts import OutgoingPostStatus
from bot.domain.source_posts import SourcePost, SourcePostStatus
from bot.ports.feed import FeedPage


@dataclass(frozen=True, slots=True, kw_only=True)
class PendingSourcePost:
    """A tweet to handle."""

    place: int
    """Grows in the order in which tweets were read."""
    source_post: SourcePost


@dataclass(frozen=True, slots=True, kw_only=True)
class Pause:
    """A time before which a service is not to be called again, because it said so."""

    part: str
    """What calls it: a source's name, "board", "publisher"."""
    until: datetime
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionTally:
    """What curators made of one model version's candidates."""

    model: str
    model_version: str
    waiting: int
    accepted: int
    rejected: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreState:
    """What the store holds, in numbers."""

    source_posts: Mapping[SourcePostStatus, int]
    candidates: Mapping[CandidateStatus, int]
    bad_rows: int
    cursors: Mapping[str, str]
    """Per source, where it is read on."""
    read_at: Mapping[str, str]
    """Per source, when it was last read."""
    last_error: str | None
    last_error_at: str | None
    failures: tuple[tuple[str, str], ...]
    """The latest failed tweets: id and reason."""
    posts: Mapping[OutgoingPostStatus, int]
    usage: Mapping[str, int]
    """What this month's bill is made of: items, such as "x read" or "x post", and how many."""
    versions: tuple[VersionTally, ...]
    appends_in_doubt: int
    """Candidates that may be on the board or not."""


class Store(ABC):
    """The bot's memory. Every method is one transaction, durable when it returns."""

    @abstractmethod
    def cursor(self, source: str) -> str | None:
        """Where the source is to be read on."""

    @abstractmethod
    def add_page(self, source: str, page: FeedPage) -> int:
        """Keep a page's tweets and its cursor together; the number of tweets that were new."""

    @abstractmethod
    def pending(self, limit: int, *, after: int = 0) -> list[PendingSourcePost]:
        """Tweets to handle, in the order in which they were read, from behind the given place."""

    @abstractmethod
    def count_pending(self) -> int:
        """Tweets to handle in all."""

    @abstractmethod
    def finish(
        self,
        source_post_id: str,
        status: SourcePostStatus,
        *,
        candidates: Iterable[Candidate] = (),
        reason: str = "",
        fresh_since: datetime | None = None,
    ) -> bool:
        """Close a pending tweet together with its candidates; False, and nothing done, when it was closed before.

        Candidates of a song that another tweet brought after `fresh_since` are left out.
        """

    @abstractmethod
    def count_attempt(self, source_post_id: str, reason: str) -> int:
        """Note that a pending tweet could not be handled; how often that has happened."""

    @abstractmethod
    def reopen_failed(self) -> int:
        """Make failed tweets without any candidate pending again; how many there were."""

    @abstractmethod
    def set_last_error(self, message: str | None) -> None:
        """Remember what went wrong last, for `status`; None when all is well again."""

    @abstractmethod
    def pauses(self) -> list[Pause]:
        """What is not to be called before a time; kept over restarts."""

    @abstractmethod
    def set_pause(self, part: str, pause: Pause | None) -> None:
        """Remember that a part of the bot is not to be called before a time, or forget it."""

    @abstractmethod
    def state(self) -> StoreState:
        """Counts for `status`."""

    @abstractmethod
    def close(self) -> None:
        """Let go of the database."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueRow:
    """A candidate as the curator sees it, with the tweet it answers and the verdict it got."""

    candidate: Candidate
    source_post: SourcePost
    created_at: str
    verdict: Verdict | None = None
    decided_at: str | None = None

    @property
    def text(self) -> str:
        """What would be posted: the curator's text where there is one, else the sample's."""
        edited = self.verdict.edited_text if self.verdict is not None else None
        return self.candidate.sample.text if edited is None else edited


class Queue(ABC):
    """Where candidates wait for a curator."""

    @abstractmethod
    def rows(self, *, status: CandidateStatus | None = None, limit: int | None = None) -> Iterator[QueueRow]:
        """Candidates in the order of the feed, one at a time: a long queue is never held in memory."""

    @abstractmethod
    def decide(self, verdicts: Iterable[Verdict]) -> None:
        """Record verdicts, all or none; a later verdict on a candidate replaces an earlier one, which stays on record.

        Raises:
            UnknownCandidateError: names the ids that are not in the queue.
        """

    @abstractmethod
    def close(self) -> None:
        """Let go of the queue."""
