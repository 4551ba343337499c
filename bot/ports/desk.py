"""The queue as the curator's page reads and changes it: songs page by page, verdicts, posts."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from bot.domain.candidates import CandidateStatus, Verdict
from bot.domain.outgoing_posts import OutgoingPost, OutgoingPostStatus
from bot.domain.songs.song import SongReport
from bot.domain.source_posts import SourcePost
from bot.ports.store import QueueRow, VersionTally


class Order(StrEnum):
    """Which come first."""

    OLDEST = "oldest"
    NEWEST = "newest"


@dataclass(frozen=True, slots=True, kw_only=True)
class DeskRow:
    """A candidate with what a page about it must know."""

    row: QueueRow
    verdict_id: int
    """The last verdict, so that a page that is out of date can be told; 0 while there is none."""
    post: OutgoingPostStatus | None = None
    """Where its post stands; None while there is none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SongRows:
    """A song of a tweet, with all its candidates, decided or not."""

    place: str
    """Where the song stands in the queue, for `SongQuery.after`."""
    rows: tuple[DeskRow, ...]
    """At least one."""

    @property
    def report(self) -> SongReport:
        """The song."""
        return self.rows[0].row.candidate.report

    @property
    def source_post(self) -> SourcePost:
        """Where it was named."""
        return self.rows[0].row.source_post


@dataclass(frozen=True, slots=True, kw_only=True)
class SongQuery:
    """Which songs to show."""

    status: CandidateStatus | None = None
    """Songs with a candidate of this status; all songs when None."""
    order: Order = Order.OLDEST
    after: str = ""
    """The place of the last song that was shown; empty: from the beginning."""
    limit: int = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class SongPage:
    """Some songs of the queue."""

    songs: tuple[SongRows, ...]
    more: bool
    """Whether there are songs behind these."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A verdict, by somebody who saw the candidate in a certain state."""

    verdict: Verdict
    seen: int
    """`DeskRow.verdict_id` of what the curator saw."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PostRow:
    """A post with what it is about."""

    place: int
    """Grows in the order in which posts were accepted."""
    post: OutgoingPost
    report: SongReport
    source_post: SourcePost
    verdict_id: int
    """The verdict that it stands on, as `DeskRow.verdict_id`."""
    created_at: str
    sent_at: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PostPage:
    """Some posts, the newest first."""

    rows: tuple[PostRow, ...]
    more: bool
    counts: Mapping[OutgoingPostStatus, int]
    """Of all posts."""


class Desk(ABC):
    """The queue as a curator's page reads and changes it. Every method is one transaction."""

    @abstractmethod
    def counts(self) -> Mapping[CandidateStatus, int]:
        """Candidates of each status."""

    @abstractmethod
    def songs(self, query: SongQuery) -> SongPage:
        """Some songs.

        Raises:
            InputError: `SongQuery.after` is no place.
        """

    @abstractmethod
    def rows(self, candidate_ids: Sequence[str]) -> list[DeskRow]:
        """Candidates by their ids, in that order.

        Raises:
            UnknownCandidateError: names the ids that are not in the queue.
        """

    @abstractmethod
    def change(self, changes: Sequence[Change]) -> None:
        """Record verdicts, all or none.

        Raises:
            UnknownCandidateError: names the ids that are not in the queue.
            StaleVerdictError: somebody else has decided since the curator's page was made.
        """

    @abstractmethod
    def posts(
        self, *, status: OutgoingPostStatus | None = None, before: int | None = None, limit: int = 40
    ) -> PostPage:
        """Some posts, from before a place."""

    @abstractmethod
    def versions(self) -> Sequence[VersionTally]:
        """What curators made of each model version's candidates, the newest version of each model first."""
