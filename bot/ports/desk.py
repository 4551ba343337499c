"""The queue as the curator's page reads and changes it: pages of songs, verdicts, posts."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum

from bot.domain.candidates import CandidateStatus, Verdict
from bot.domain.outgoing_posts import OutgoingPost, OutgoingPostStatus
from bot.domain.post_text import Draft
from bot.domain.songs.song import SongReport
from bot.domain.source_posts import SourcePost
from bot.ports.accepted_posts import AcceptedPosts
from bot.ports.curation import CuratorDesk, SongDesk
from bot.ports.store import QueueRow, VersionTally


class Order(StrEnum):
    """Order of the songs."""

    OLDEST = "oldest"
    NEWEST = "newest"
    BEST = "best"
    """By the best candidate's score above the mean of its version."""


CUT_OFF = "cut off"
"""Flag of a sample that reached its maximum length."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeskRow:
    """A candidate with the data that its page needs."""

    row: QueueRow
    verdict_id: int
    """Id of the last verdict, by which an outdated page is recognised; 0 if there is none."""
    post: OutgoingPostStatus | None = None
    """Status of its post; None if there is none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SongRows:
    """A song of a source post with its candidates, or those of them that a query selects."""

    place: str
    """Place of the song in the queue, for `SongQuery.after`."""
    rows: tuple[DeskRow, ...]
    """At least one."""

    @property
    def report(self) -> SongReport:
        """The song."""
        return self.rows[0].row.candidate.report

    @property
    def source_post(self) -> SourcePost:
        """The post that names the song."""
        return self.rows[0].row.source_post


@dataclass(frozen=True, slots=True, kw_only=True)
class SongFilter:
    """Conditions for a candidate to be shown; an empty value does not matter. Case and accents never do."""

    words: str = ""
    """Each of these is part of the artist, the title, the source post, its author or the text."""
    artist: str = ""
    """Part of the artist's name."""
    genre: str = ""
    """A genre of the song as a whole."""
    flag: str = ""
    """A `Flag` that the sample was generated with, or `CUT_OFF`."""
    version: tuple[str, str] | None = None
    """Model and version, of candidates with a verdict alone."""
    who: str = ""
    """Curator who gave the verdict."""
    since: date | None = None
    """First day of the verdict; of the sample where all candidates, or those that wait, are shown."""
    until: date | None = None
    """Last day."""


NO_FILTER = SongFilter()


@dataclass(frozen=True, slots=True, kw_only=True)
class SongQuery:
    """Selection of candidates, song by song."""

    status: CandidateStatus | None = None
    """Status of the candidates; None selects all."""
    filter: SongFilter = NO_FILTER
    order: Order = Order.OLDEST
    after: str = ""
    """Place of the song before the page; empty for the first page."""
    before: str = ""
    """Place of the song behind the page, instead of `after`."""
    limit: int = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class SongPage:
    """Page of songs."""

    songs: tuple[SongRows, ...]
    first: int
    """Number of songs before this page."""
    total: int
    """Number of songs on all pages."""

    @property
    def more(self) -> bool:
        """Whether there is another page."""
        return self.first + len(self.songs) < self.total


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A verdict together with the state of the candidate that the curator saw."""

    verdict: Verdict
    seen: int
    """`DeskRow.verdict_id` that the curator saw."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PostRow:
    """A post with its song and source post."""

    place: int
    """Number that grows in the order in which posts were accepted."""
    post: OutgoingPost
    report: SongReport
    source_post: SourcePost
    verdict_id: int
    """Id of the verdict that accepted it, as `DeskRow.verdict_id`."""
    created_at: str
    sent_at: str | None

    @property
    def draft(self) -> Draft:
        """Text and song of the post, for a preview."""
        return Draft(text=self.post.text, report=self.report, source_post=self.source_post)


@dataclass(frozen=True, slots=True, kw_only=True)
class PostPage:
    """Page of posts, the newest first."""

    rows: tuple[PostRow, ...]
    more: bool
    """Whether there are older posts."""
    counts: Mapping[OutgoingPostStatus, int]
    """Number of posts of each status."""
    newer: bool = False
    """Whether there are newer posts."""


class Desk(SongDesk, CuratorDesk, AcceptedPosts):
    """The queue as a curator's page reads and changes it. Every method is one transaction."""

    @abstractmethod
    def counts(self) -> Mapping[CandidateStatus, int]:
        """Number of candidates of each status."""

    @abstractmethod
    def songs(self, query: SongQuery) -> SongPage:
        """Return a page of songs.

        Raises:
            InputError: `SongQuery.after` or `before` is not a place.
        """

    @abstractmethod
    def rows(self, candidate_ids: Sequence[str]) -> list[DeskRow]:
        """Return candidates in the order of their ids.

        Raises:
            UnknownCandidateError: names the ids that are not in the queue.
        """

    @abstractmethod
    def told_with(self, candidate_ids: Sequence[str]) -> list[str]:
        """Return the other decided candidates of these candidates' songs, if the songs belong to an experiment.

        Their versions appear with the song's last verdict, and go when it is taken back.
        """

    @abstractmethod
    def change(self, changes: Sequence[Change]) -> None:
        """Record verdicts, all or none.

        Raises:
            UnknownCandidateError: names the ids that are not in the queue.
            StaleVerdictError: another verdict was given since the curator's page was loaded.
        """

    @abstractmethod
    def posts(
        self,
        *,
        status: OutgoingPostStatus | None = None,
        without: OutgoingPostStatus | None = None,
        before: int | None = None,
        after: int | None = None,
        limit: int = 40,
    ) -> PostPage:
        """Return a page of posts, the newest first.

        Args:
            status: their status; None selects all.
            without: a status that they do not have.
            before: only posts whose places are lower.
            after: only posts whose places are higher, those next to it.
            limit: maximum posts of a page.
        """

    @abstractmethod
    def versions(self) -> Sequence[VersionTally]:
        """Number of verdicts on each model version's candidates, the newest version of each model first."""
