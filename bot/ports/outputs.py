"""Where candidates go from the queue: the curators' board, and the network that they are posted to."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from bot.domain.candidates import Verdict
from bot.domain.outgoing_posts import OutgoingPost, OutgoingPostStatus, OwnPost, PostMode
from bot.domain.source_posts import SourcePost
from bot.ports.store import QueueRow


class Publisher(ABC):
    """Where accepted candidates are posted. Called from one thread."""

    @property
    @abstractmethod
    def name(self) -> str:
        """Name of the network, as in `bot.domain.networks`; or "file"."""

    @property
    @abstractmethod
    def capabilities(self) -> frozenset[PostMode]:
        """What the account may do; `STANDALONE` always."""

    @abstractmethod
    def publish(self, post: OutgoingPost) -> str:
        """Post it, in one call that is never repeated here; the network's id of the post.

        Raises:
            DoubtfulError: it may be out or not: a time-out, a connection that broke, a 5xx.
            PostRefusedError: it is not out and never will be: too long, a duplicate, a reply that is not allowed.
            RateLimitedError, NetworkUnavailableError, CredentialsError: it is not out, and may be tried again.
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


@dataclass(frozen=True, slots=True, kw_only=True)
class BoardEdit:
    """A row that is to say what was decided elsewhere, in the terminal or in the studio."""

    seen: BoardRow
    """What the row said when it was last read: somebody is at work on one that says something else."""
    status: str
    text: str | None = None
    """None leaves the text as it is."""
    who: str = ""

    @property
    def candidate_id(self) -> str:
        """Which row."""
        return self.seen.candidate_id


@dataclass(frozen=True, slots=True, kw_only=True)
class BoardEdited:
    """What came of edits; each candidate's id is in one of the first three."""

    written: frozenset[str]
    left: frozenset[str] = frozenset()
    """Somebody has changed the row since it was read: it was left as it is."""
    gone: frozenset[str] = frozenset()
    """There is no such row any more."""
    misplaced: tuple[BoardRow, ...] = ()
    """Rows of others that got the words of an edit, because somebody sorted at that moment; as they are now."""


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
            RateLimitedError, NetworkUnavailableError, CredentialsError: they are not there.
        """

    @abstractmethod
    def rows(self) -> Iterator[BoardRow]:
        """All rows that have a candidate's id, one at a time, in whatever order.

        Raises:
            NetworkError: they cannot be read.
        """

    @abstractmethod
    def edit(self, edits: Sequence[BoardEdit]) -> BoardEdited:
        """Change rows that still say what was seen; all or none, in one call that is never repeated here.

        Raises:
            DoubtfulError: they may say it now or not.
            RateLimitedError, NetworkUnavailableError, CredentialsError: they do not.
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
    landed: int = 0
    """Edits in doubt that turned out to be there."""


class BoardStore(ABC):
    """What the bot remembers of the board: which rows are on it, and what they last said."""

    @abstractmethod
    def pending_append(self, limit: int) -> list[QueueRow]:
        """Waiting candidates that have never been on the board, in the order of the feed."""

    @abstractmethod
    def begin_append(self, candidate_ids: Sequence[str]) -> None:
        """Note, before the call, that these are being appended: should the bot die now, they may be there."""

    @abstractmethod
    def appends_in_doubt(self) -> tuple[Collection[str], str | None]:
        """Candidates that may be on the board or not, and when the last call for one began."""

    @abstractmethod
    def settle_appends(self, *, there: Collection[str], missing: Collection[str]) -> None:
        """Record what a look at the board showed; what is missing will be appended again."""

    @abstractmethod
    def apply_board(self, rows: Iterable[BoardRow]) -> BoardChanges:
        """Record the verdicts of rows that say something else than they did when they were last read.

        What a row says matters only when it changes, so that a verdict given elsewhere is not undone by an old row.
        A row that was changed by a person wins over a verdict given elsewhere that it does not show yet: nobody can say
        which of the two came later, and the only other way to make both places say the same is to overwrite what
        somebody typed. Both verdicts stay on record.
        """

    @abstractmethod
    def begin_edits(self, limit: int) -> list[BoardEdit]:
        """Verdicts given elsewhere that the board does not show, noted as being written before the call."""

    @abstractmethod
    def edits_in_doubt(self) -> tuple[Collection[str], str | None]:
        """Candidates whose rows may have been edited or not, and when the last call for one began."""

    @abstractmethod
    def settle_edits(self, edited: BoardEdited) -> None:
        """Record what came of edits; what was left is tried again once the row was read."""


class Outbox(ABC):
    """Posts on their way out. Every method is one transaction, durable when it returns."""

    @abstractmethod
    def enqueue_accepted(self, *, since: datetime) -> int:
        """Make posts of candidates that were accepted since, where there is none; how many there were new."""

    @abstractmethod
    def cancel_stale(self, *, before: datetime) -> int:
        """Cancel pending posts that were accepted before; how many there were."""

    @abstractmethod
    def pending_posts(self, limit: int) -> list[tuple[OutgoingPost, SourcePost]]:
        """Posts that are pending, the longest accepted first, with the tweets that they answer."""

    @abstractmethod
    def is_repeat(self, post: OutgoingPost) -> bool:
        """Whether another post with the same text was sent, or may have been."""

    @abstractmethod
    def claim(self, candidate_id: str, *, network: str, mode: PostMode, in_reply_to: str | None) -> OutgoingPost | None:
        """Set a pending post to `SENDING`; None when another bot was quicker or the verdict was taken back."""

    @abstractmethod
    def set_post(
        self, candidate_id: str, status: OutgoingPostStatus, *, external_id: str | None = None, reason: str = ""
    ) -> None:
        """Record what came of a post. One that goes back to `PENDING` is cancelled if it is accepted no more."""

    @abstractmethod
    def doubtful_posts(self) -> list[OutgoingPost]:
        """Posts that are `SENDING` or `UNKNOWN`, the oldest attempt first."""

    @abstractmethod
    def external_ids(self, ids: Collection[str]) -> set[str]:
        """Which of these ids of the network belong to posts that are known to be sent."""

    @abstractmethod
    def count_looked_up(self, network: str, posts: int) -> None:
        """Add posts that were read on the account's own timeline to this month's bill."""

    @abstractmethod
    def count_sent(self, *, since: datetime) -> int:
        """Posts that were sent, or may have been, since."""
