"""What the service needs from outside, and nothing about how it is got."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from bot.domain.model import (
    BadRow,
    Candidate,
    CandidateStatus,
    Flag,
    OwnPost,
    Post,
    PostMode,
    PostStatus,
    Song,
    Tweet,
    TweetStatus,
    Verdict,
)
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
    billed: int = 0
    """Items that the network asks money for, those of the bot's own account and known ones included."""


class Source(ABC):
    """Where tweets come from."""

    @property
    @abstractmethod
    def name(self) -> str:
        """The key of the source's cursor; the same for the same feed, always."""

    @abstractmethod
    def read(self, cursor: str | None, limit: int) -> FeedPage:
        """At most `limit` rows after the cursor; without one from the beginning, or from where the source sees fit.

        Raises:
            FeedError: the feed cannot be read.
            NetworkError: the network did not answer; `retry_at` says when to come back where that is known.
        """

    def describe(self, cursor: str) -> str:
        """A place in the source, for people."""
        return cursor

    def check(self) -> str:
        """Who the bot is there, by a call that costs next to nothing; for people.

        Raises:
            FeedError, NetworkError: it cannot be read.
        """
        return self.name


@dataclass(frozen=True, slots=True, kw_only=True)
class ArtistEntry:
    """An artist that a genre lookup knows."""

    name: str
    """The artist's name as the lookup spells it."""
    genres: tuple[str, ...]
    """May be empty: the artist is known, the genres are not."""
    origin: str = "table"
    """Who knew: "spotify", "last.fm", "musicbrainz", "table"."""


class GenreLookup(ABC):
    """Which genres an artist has. Called from several threads at once."""

    @abstractmethod
    def find(self, artist: str) -> ArtistEntry | None:
        """The entry of an artist, given a name or a handle; None when it is not known.

        Raises:
            NetworkError: nobody can say at the moment; another lookup may.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class SongHit:
    """A song that a lookup holds, checked to be the one that was asked for."""

    artists: tuple[str, ...]
    """As the lookup spells them."""
    title: str
    genres: tuple[str, ...] = ()
    url: str = ""
    """Where it can be heard."""
    origin: str = "spotify"


class SongLookup(ABC):
    """Which song a text means. Called from several threads at once."""

    @abstractmethod
    def find_song(self, song: Song) -> SongHit | None:
        """The song, when the lookup holds it and its artists and title fit those of the text.

        Raises:
            NetworkError: nobody can say at the moment.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class SongFacts:
    """What is known of a song when its commentary is asked for."""

    artist: str
    """The artists as one line, as the best informed lookup spells them."""
    genres: tuple[str, ...] = ()
    """Empty when nobody knows."""
    origin: str = ""
    """Who knew the genres; empty when nobody did."""
    url: str = ""


class SongResolver(ABC):
    """All lookups as one, the best first. Called from several threads at once."""

    @abstractmethod
    def resolve(self, song: Song) -> SongFacts:
        """What is known of a song; a lookup that fails is passed over, and nothing is raised for it."""

    @abstractmethod
    def is_artist(self, name: str) -> bool:
        """Whether a name is known to be an artist's, without asking anybody outside: the parser asks often."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CachedGenres:
    """What a lookup said earlier; `entry` is None when it did not know the artist."""

    entry: ArtistEntry | None


class GenreCache(ABC):
    """What lookups said earlier, over restarts. Called from several threads at once."""

    @abstractmethod
    def get(self, artist_key: str) -> CachedGenres | None:
        """What was said, unless it is too old; None when nothing was."""

    @abstractmethod
    def put(self, artist_key: str, entry: ArtistEntry | None, *, expires_at: datetime) -> None:
        """Keep what was said, until an aware time."""


class PostHistory(ABC):
    """What was posted, over restarts. Called from several threads at once."""

    @abstractmethod
    def has_posted(self, text: str) -> bool:
        """Whether a text was sent before, or is on its way; texts are compared by `text_key`."""


class SongHistory(ABC):
    """Which songs came before, over restarts. Called from several threads at once."""

    @abstractmethod
    def has_come(self, song: Song, *, since: datetime) -> bool:
        """Whether the queue got candidates for a song, by its `key`, since an aware time."""


class Screen(ABC):
    """What is to be noticed of a text. Called from several threads at once."""

    @abstractmethod
    def flags(self, text: str) -> tuple[Flag, ...]:
        """The flags of a text that might be posted, in the order of `Flag`."""


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Pause:
    """A time before which a service is not to be called again, because it said so."""

    part: str
    """What calls it: a source's name, "board", "publisher"."""
    until: datetime
    reason: str


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
        self,
        tweet_id: str,
        status: TweetStatus,
        *,
        candidates: Iterable[Candidate] = (),
        reason: str = "",
        fresh_since: datetime | None = None,
    ) -> bool:
        """Close a pending tweet together with its candidates; False, and nothing done, when it was closed before.

        Candidates of a song that another tweet brought after `fresh_since` are left out.
        """

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


class Publisher(ABC):
    """Where accepted candidates are posted. Called from one thread."""

    @property
    @abstractmethod
    def name(self) -> str:
        """The network, as `Tweet.network` has it: "x", "bsky", "masto"; or "file"."""

    @property
    @abstractmethod
    def capabilities(self) -> frozenset[PostMode]:
        """What the account may do; `STANDALONE` always."""

    @abstractmethod
    def publish(self, post: Post) -> str:
        """Post it, in one call that is never repeated here; the network's id of the post.

        Raises:
            DoubtfulError: it may be out or not: a time-out, a connection that broke, a 5xx.
            PostRefusedError: it is not out and never will be: too long, a duplicate, a reply that is not allowed.
            RateLimitedError, UnavailableError, CredentialsError: it is not out, and may be tried again.
        """

    @abstractmethod
    def recent(self, after: str | None) -> Sequence[OwnPost]:
        """Posts of the account behind the given id, newest first; without an id, the latest hundred.

        An id is better than a time: the bot's clock and the network's need not agree, and only what is new is paid for.

        Raises:
            NetworkError: they cannot be read.
        """

    def check(self) -> str:
        """Who the bot is there, by a call that costs next to nothing; for people.

        Raises:
            NetworkError: the account cannot be used.
        """
        return self.name


@dataclass(frozen=True, slots=True, kw_only=True)
class BoardRow:
    """A row as the curator left it."""

    candidate_id: str
    status: str
    """What stands in the status column: a `CandidateStatus`, or whatever a person typed."""
    text: str
    """What stands in the text column: the sample's, or an edited one."""
    who: str = ""
    """What stands in the curator's column."""


class Board(ABC):
    """A table outside, a Google Sheet, where curators decide. Called from one thread.

    The candidate's id in the first column says what a row is: rows may be sorted, edited and removed.
    """

    @property
    @abstractmethod
    def name(self) -> str:
        """Which board, for people and for the log."""

    @abstractmethod
    def prepare(self) -> None:
        """Make the header and the drop-down where they are missing; what is there stays as it is.

        Raises:
            NetworkError: see `append`.
            InputError: the table holds something else.
        """

    @abstractmethod
    def ids(self) -> set[str]:
        """The candidates that have a row.

        Raises:
            NetworkError: they cannot be read.
        """

    @abstractmethod
    def append(self, rows: Sequence[QueueRow]) -> None:
        """Add rows at the end, all or none, in one call that is never repeated here.

        Raises:
            DoubtfulError: they may be there or not.
            RateLimitedError, UnavailableError, CredentialsError: they are not there.
        """

    @abstractmethod
    def rows(self) -> Iterator[BoardRow]:
        """All rows that have a candidate's id, one at a time, in whatever order.

        Raises:
            NetworkError: they cannot be read.
        """

    def check(self) -> str:
        """Which table it is, by a call that changes nothing; for people.

        Raises:
            NetworkError: it cannot be used.
        """
        return self.name


@dataclass(frozen=True, slots=True, kw_only=True)
class BoardChanges:
    """What curators changed on the board since it was last read."""

    verdicts: tuple[Verdict, ...] = ()
    unclear: tuple[str, ...] = ()
    """Changes that are no verdict, in words: a status that is none, an accepted row without a text."""


class BoardStore(ABC):
    """What the bot remembers of the board: which rows are on it, and what they last said."""

    @abstractmethod
    def unboarded(self, limit: int) -> list[QueueRow]:
        """Waiting candidates that have never been on the board, in the order of the feed."""

    @abstractmethod
    def begin_boarding(self, candidate_ids: Sequence[str]) -> None:
        """Note, before the call, that these are being appended: should the bot die now, they may be there."""

    @abstractmethod
    def boarding(self) -> tuple[Collection[str], str | None]:
        """Candidates that may be on the board or not, and when the last call for one began."""

    @abstractmethod
    def settle_boarding(self, *, there: Collection[str], missing: Collection[str]) -> None:
        """Record what a look at the board showed; what is missing will be appended again."""

    @abstractmethod
    def apply_board(self, rows: Iterable[BoardRow]) -> BoardChanges:
        """Record the verdicts of rows that say something else than they did when they were last read.

        What a row says matters only when it changes, so that a verdict given elsewhere is not undone by an old row.
        """


class Outbox(ABC):
    """Posts on their way out. Every method is one transaction, durable when it returns."""

    @abstractmethod
    def enqueue_accepted(self, *, since: datetime) -> int:
        """Make posts of candidates that were accepted since, where there is none; how many there were new."""

    @abstractmethod
    def cancel_stale(self, *, before: datetime) -> int:
        """Cancel pending posts that were accepted before; how many there were."""

    @abstractmethod
    def pending_posts(self, limit: int) -> list[tuple[Post, Tweet]]:
        """Posts that are pending, the longest accepted first, with the tweets that they answer."""

    @abstractmethod
    def is_repeat(self, post: Post) -> bool:
        """Whether another post with the same text was sent, or may have been."""

    @abstractmethod
    def claim(self, candidate_id: str, *, network: str, mode: PostMode, in_reply_to: str | None) -> Post | None:
        """Set a pending post to `SENDING`; None when another bot was quicker or the verdict was taken back."""

    @abstractmethod
    def set_post(
        self, candidate_id: str, status: PostStatus, *, external_id: str | None = None, reason: str = ""
    ) -> None:
        """Record what came of a post. One that goes back to `PENDING` is cancelled if it is accepted no more."""

    @abstractmethod
    def doubtful_posts(self) -> list[Post]:
        """Posts that are `SENDING` or `UNKNOWN`, the oldest attempt first."""

    @abstractmethod
    def external_ids(self, ids: Collection[str]) -> set[str]:
        """Which of these ids of the network belong to posts that are known to be sent."""

    @abstractmethod
    def count_sent(self, *, since: datetime) -> int:
        """Posts that were sent, or may have been, since."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VariantTally:
    """What curators made of one model version's candidates."""

    model: str
    model_version: str
    waiting: int
    accepted: int
    rejected: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreState:
    """What the store holds, in numbers."""

    tweets: Mapping[TweetStatus, int]
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
    posts: Mapping[PostStatus, int]
    usage: Mapping[str, int]
    """What this month's bill is made of: items, such as "x read" or "x post", and how many."""
    variants: tuple[VariantTally, ...]
    boarding: int
    """Candidates that may be on the board or not."""
