"""What the service needs from outside, and nothing about how it is got."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from bot.domain.model import BadRow, Candidate, CandidateStatus, Tweet, TweetStatus, Verdict
from handlers.contract import CommentaryRequest, CommentaryResponse


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedPage:
    """Some items of a feed, and where the next page begins."""

    tweets: tuple[Tweet, ...]
    cursor: str
    """For the source alone to understand; stored together with the page's tweets."""
    more: bool
    """Whether another page can be read at once."""
    bad_rows: tuple[BadRow, ...] = ()
    notice: str = ""
    """Something that the operator should know, such as a feed that was replaced."""


class Source(ABC):
    """Where tweets come from."""

    @property
    @abstractmethod
    def name(self) -> str:
        """The key of the source's cursor; the same for the same feed, always."""

    @abstractmethod
    def read(self, cursor: str | None, limit: int) -> FeedPage:
        """At most `limit` rows after the cursor, or from the beginning without one.

        Raises:
            FeedError: the feed cannot be read.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class ArtistEntry:
    """An artist that a genre lookup knows."""

    name: str
    """The artist's name as the lookup spells it."""
    genres: tuple[str, ...]


class GenreLookup(ABC):
    """Which genres an artist has."""

    @abstractmethod
    def find(self, artist: str) -> ArtistEntry | None:
        """The entry of an artist, given a name or a handle; None when it is not known."""


class CommentaryService(ABC):
    """Who writes the samples. Called from several threads at once."""

    @abstractmethod
    def generate(self, request: CommentaryRequest) -> CommentaryResponse:
        """Samples for one song.

        Raises:
            SongRefusedError: the request is invalid.
            SongFailedError: the server broke while it answered.
            NoServiceError: nobody can answer at the moment.
        """

    @abstractmethod
    def is_reachable(self) -> bool:
        """Whether somebody would answer now."""

    @abstractmethod
    def close(self) -> None:
        """End the connection; calls in flight fail with `NoServiceError`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PendingTweet:
    """A tweet to handle."""

    place: int
    """Grows in the order in which tweets were read."""
    tweet: Tweet


class Store(ABC):
    """The bot's memory. Every method is one transaction, durable when it returns."""

    @abstractmethod
    def cursor(self, source: str) -> str | None:
        """Where the source is to be read on."""

    @abstractmethod
    def add_page(self, source: str, page: FeedPage) -> int:
        """Keep a page's tweets and its cursor together; the number of tweets that were new."""

    @abstractmethod
    def pending(self, limit: int, *, after: int = 0) -> list[PendingTweet]:
        """Tweets to handle, in the order in which they were read, from behind the given place."""

    @abstractmethod
    def count_pending(self) -> int:
        """Tweets to handle in all."""

    @abstractmethod
    def finish(
        self, tweet_id: str, status: TweetStatus, *, candidates: Iterable[Candidate] = (), reason: str = ""
    ) -> bool:
        """Close a pending tweet together with its candidates; False, and nothing done, when it was closed before."""

    @abstractmethod
    def count_attempt(self, tweet_id: str, reason: str) -> int:
        """Note that a pending tweet could not be handled; how often that has happened."""

    @abstractmethod
    def reopen_failed(self) -> int:
        """Make failed tweets without any candidate pending again; how many there were."""

    @abstractmethod
    def set_last_error(self, message: str | None) -> None:
        """Remember what went wrong last, for `status`; None when all is well again."""

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
    tweet: Tweet
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


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreState:
    """What the store holds, in numbers."""

    tweets: Mapping[TweetStatus, int]
    candidates: Mapping[CandidateStatus, int]
    bad_rows: int
    cursors: Mapping[str, str]
    """Per source, where it is read on."""
    last_error: str | None
    last_error_at: str | None
    failures: tuple[tuple[str, str], ...]
    """The latest failed tweets: id and reason."""
