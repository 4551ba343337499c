"""The bot's store, and the queue that curators see."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from bot.domain.candidates import Candidate, CandidateStatus, Decision, Verdict
from bot.domain.odd_items import SetAside
from bot.domain.outgoing_posts import OutgoingPostStatus
from bot.domain.source_posts import SourcePost, SourcePostStatus
from bot.ports.feed import FeedPage
from handlers.contract import FinishReason


@dataclass(frozen=True, slots=True, kw_only=True)
class PendingSourcePost:
    """Source post to be processed."""

    place: int
    """Number that grows in the order in which source posts were read."""
    source_post: SourcePost


@dataclass(frozen=True, slots=True, kw_only=True)
class Pause:
    """Time before which a service must not be called again, as the service demanded."""

    part: str
    """Part of the bot that calls the service: a source's name, "board", "publisher"."""
    until: datetime
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionTally:
    """Number of verdicts on the candidates of a model version."""

    model: str
    model_version: str
    waiting: int
    accepted: int
    rejected: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreState:
    """Counts and last events of the store."""

    source_posts: Mapping[SourcePostStatus, int]
    candidates: Mapping[CandidateStatus, int]
    odd_items: Mapping[str, int]
    """Number of items that were set aside, by the part of the bot that they came to; it never falls."""
    set_aside: tuple[SetAside, ...]
    """The latest odd items, the newest first."""
    cursors: Mapping[str, str]
    """Cursor of each source."""
    read_at: Mapping[str, str]
    """Time at which each source was last read."""
    last_error: str | None
    last_error_at: str | None
    failures: tuple[tuple[str, str], ...]
    """Latest failed source posts: id and reason."""
    posts: Mapping[OutgoingPostStatus, int]
    usage: Mapping[str, int]
    """This month's usage: number of each item, such as "x read" or "x post"."""
    versions: tuple[VersionTally, ...]
    appends_in_doubt: int
    """Number of candidates that may or may not be on the board."""
    verdicts: Mapping[tuple[str, str, Decision], int] = field(default_factory=dict)
    """Number of verdicts ever given, by model, version and decision; undoing one is another."""
    refusals: Mapping[tuple[str, str], int] = field(default_factory=dict)
    """Number of refusals of posts ever met, by network, which is empty for the bot's own, and reason."""
    pass_failed: bool = False
    """Whether the last pass ended with an error; the last error says which."""
    last_good_pass_at: str | None = None
    """Time of the end of the last pass without a problem."""
    rows_missing: int = 0
    """Number of waiting candidates that were put on the board and are not on it any more."""


class Store(ABC):
    """The bot's store. Every method is one transaction, durable when it returns."""

    @abstractmethod
    def cursor(self, source: str) -> str | None:
        """Return the place from which the source is read on."""

    @abstractmethod
    def add_page(self, source: str, page: FeedPage) -> int:
        """Store a page's source posts together with its cursor; return the number of new source posts."""

    @abstractmethod
    def pending(self, limit: int, *, after: int = 0) -> list[PendingSourcePost]:
        """Return pending source posts behind a place, in the order in which they were read."""

    @abstractmethod
    def count_pending(self) -> int:
        """Return the number of pending source posts."""

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
        """Close a pending source post together with its candidates; False, without a change, if it is closed already.

        Candidates of a song that came in another source post after `fresh_since` are left out.
        """

    @abstractmethod
    def count_attempt(self, source_post_id: str, reason: str) -> int:
        """Record that a pending source post could not be processed; return the number of such attempts."""

    @abstractmethod
    def reopen_failed(self) -> int:
        """Make failed source posts without a candidate pending again; return their number."""

    @abstractmethod
    def set_last_error(self, message: str | None, *, failed: bool = False) -> None:
        """Record the end of a pass for `status`: its error, None for a good pass, and whether the pass failed."""

    @abstractmethod
    def pauses(self) -> list[Pause]:
        """Return the pauses of services, which outlast restarts."""

    @abstractmethod
    def set_pause(self, part: str, pause: Pause | None) -> None:
        """Store the pause of a part of the bot, or remove it."""

    @abstractmethod
    def state(self) -> StoreState:
        """Return counts and last events, for `status`."""

    @abstractmethod
    def close(self) -> None:
        """Close the database."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueRow:
    """A candidate with its source post and its verdict."""

    candidate: Candidate
    source_post: SourcePost
    created_at: str
    verdict: Verdict | None = None
    decided_at: str | None = None

    @property
    def text(self) -> str:
        """Text that would be posted: the curator's if there is one, else the sample's."""
        edited = self.verdict.edited_text if self.verdict is not None else None
        return self.candidate.sample.text if edited is None else edited

    @property
    def is_cut_off(self) -> bool:
        """Whether the text is a sample that reached its maximum length, and so an incomplete sentence."""
        is_edited = self.verdict is not None and self.verdict.edited_text is not None
        return not is_edited and self.candidate.sample.finish_reason is FinishReason.LENGTH


class Queue(ABC):
    """Queue of candidates that wait for a curator."""

    @abstractmethod
    def rows(self, *, status: CandidateStatus | None = None, limit: int | None = None) -> Iterator[QueueRow]:
        """Read candidates in the order of the feed, one at a time, so that a long queue fits into memory."""

    @abstractmethod
    def find(self, candidate_ids: Sequence[str]) -> list[QueueRow]:
        """Return candidates in the order of their ids.

        Raises:
            UnknownCandidateError: names the ids that are not in the queue.
        """

    @abstractmethod
    def decide(self, verdicts: Iterable[Verdict]) -> None:
        """Record verdicts, all or none. A later verdict replaces an earlier one, which stays on record.

        Raises:
            UnknownCandidateError: names the ids that are not in the queue.
            StaleVerdictError: a candidate is or may be posted, so its verdict stays.
        """

    @abstractmethod
    def close(self) -> None:
        """Close the queue."""
