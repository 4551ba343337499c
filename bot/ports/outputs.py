"""Outputs of the queue: the curators' board, and the network that candidates are posted to."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from bot.domain.candidates import Verdict
from bot.domain.odd_items import OddItem
from bot.domain.outgoing_posts import OutgoingPost, OutgoingPostStatus, OwnPost, PostMode
from bot.domain.post_text import Draft
from bot.domain.storable import make_storable
from bot.ports.store import QueueRow


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

    def check(self) -> str:
        """Make a call that costs next to nothing; the name of the account, for people.

        Raises:
            NetworkError: the account cannot be used.
        """
        return self.name


@dataclass(frozen=True, slots=True, kw_only=True)
class BoardRow:
    """Row of the board as curators left it."""

    candidate_id: str
    status: str
    """Content of the status column: a `CandidateStatus`, or anything else that a person typed."""
    text: str
    """Content of the text column: the sample's text, or an edited one."""
    who: str = ""
    """Content of the curator's column."""

    def __post_init__(self) -> None:
        make_storable(self, "candidate_id", "status", "text", "who")


@dataclass(frozen=True, slots=True, kw_only=True)
class BoardEdit:
    """Change of a row for a verdict that was given elsewhere, in the terminal or in the studio."""

    seen: BoardRow
    """Row when it was last read; a row with another content is left to the person who changed it."""
    status: str
    text: str | None = None
    """New text; None leaves the text as it is."""
    who: str = ""

    @property
    def candidate_id(self) -> str:
        """Id of the row's candidate."""
        return self.seen.candidate_id


@dataclass(frozen=True, slots=True, kw_only=True)
class BoardEdited:
    """Outcome of edits; each candidate's id is in one of the first three sets."""

    written: frozenset[str]
    left: frozenset[str] = frozenset()
    """Candidates whose rows were left as they are, because they have changed since they were read."""
    gone: frozenset[str] = frozenset()
    """Candidates whose rows no longer exist."""
    misplaced: tuple[BoardRow, ...] = ()
    """Other rows that were edited by mistake, because somebody sorted during the call; as they are now."""


class Board(ABC):
    """Table outside the bot, such as a Google Sheet, in which curators decide. Called from one thread.

    Rows are identified by the candidate's id, so they may be sorted, edited and removed.
    """

    @property
    @abstractmethod
    def name(self) -> str:
        """Name of the board, for people and the log."""

    @abstractmethod
    def prepare(self) -> None:
        """Create the header and the drop-down if the table has no header.

        Raises:
            NetworkError: see `append`.
            InputError: the table lacks a column.
        """

    @abstractmethod
    def ids(self) -> set[str]:
        """Return the ids of the candidates that have a row.

        Raises:
            NetworkError: the table cannot be read.
        """

    @abstractmethod
    def append(self, rows: Sequence[QueueRow]) -> None:
        """Append all or none of the rows in one call, which is never repeated here.

        Raises:
            DoubtfulError: the rows may or may not be there.
            RateLimitedError, NetworkUnavailableError, CredentialsError: the rows are not there.
        """

    @abstractmethod
    def rows(self) -> Iterator[BoardRow]:
        """Read all rows that have a candidate's id, one at a time, in any order.

        Raises:
            NetworkError: the table cannot be read.
        """

    @abstractmethod
    def edit(self, edits: Sequence[BoardEdit]) -> BoardEdited:
        """Change the rows that are still as they were read, all or none, in one call, which is never repeated here.

        Raises:
            DoubtfulError: the rows may or may not be changed.
            RateLimitedError, NetworkUnavailableError, CredentialsError: the rows are not changed.
        """

    def is_unknown(self) -> bool:
        """Whether the prepared table is one that the bot has never used, so far as it remembers."""
        return False

    def remember(self) -> None:  # noqa: B027 -- tables that cannot move need not be remembered
        """Remember the prepared table, so that it is found again under another name."""

    def check(self) -> str:
        """Make a call that changes nothing; the name of the table, for people.

        Raises:
            NetworkError: the table cannot be used.
        """
        return self.name


class TabRecord(ABC):
    """Record of the tabs that the bot has used, by spreadsheet and title: a tab that is renamed keeps its id."""

    @abstractmethod
    def tab_id(self, name: str) -> int | None:
        """The id of the tab that was used under a name; None if there was none."""

    @abstractmethod
    def keep_tab_id(self, name: str, tab_id: int) -> None:
        """Keep the id of the tab that is used under a name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BoardChanges:
    """Changes of the board since it was last read."""

    verdicts: tuple[Verdict, ...] = ()
    unclear: tuple[str, ...] = ()
    """Changes that are not verdicts, in words: an unknown status, an accepted row without a text."""
    landed: int = 0
    """Number of edits in doubt that turned out to be applied."""
    missing: tuple[str, ...] = ()
    """Waiting candidates that were put on the board and are not on it any more."""


class BoardStore(ABC):
    """Record of the board: the rows on it and their last known content."""

    @abstractmethod
    def pending_append(self, limit: int) -> list[QueueRow]:
        """Return waiting candidates that have never been on the board, in the order of the feed."""

    @abstractmethod
    def begin_append(self, candidate_ids: Sequence[str]) -> None:
        """Mark candidates before the call that appends them: if the bot is killed now, they may be on the board."""

    @abstractmethod
    def appends_in_doubt(self) -> tuple[Collection[str], str | None]:
        """Return the candidates that may or may not be on the board, and the start time of the last call."""

    @abstractmethod
    def settle_appends(self, *, there: Collection[str], missing: Collection[str]) -> None:
        """Record which candidates are on the board; missing ones will be appended again."""

    @abstractmethod
    def keep_off_board(self, candidate_id: str, reason: str) -> None:
        """Record that the board refuses a candidate's row, so that it is not appended again."""

    @abstractmethod
    def board_again(self) -> None:
        """Record that no candidate that waits is on the board, which is a new and empty one."""

    @abstractmethod
    def set_aside(self, part: str, items: Iterable[OddItem]) -> None:
        """Keep odd items, as `OddItems.set_aside` does."""

    @abstractmethod
    def apply_board(self, rows: Iterable[BoardRow]) -> BoardChanges:
        """Record the verdicts of rows that have changed since they were last read.

        Only changes count, so that an old row does not undo a verdict given elsewhere. A row that a person changed wins
        over a verdict given elsewhere that the row does not show yet: the order of the two is unknown, and the
        alternative would overwrite what somebody typed. Both verdicts stay on record.
        """

    @abstractmethod
    def begin_edits(self, limit: int) -> list[BoardEdit]:
        """Mark verdicts given elsewhere that the board does not show, before the call that writes them; return them."""

    @abstractmethod
    def edits_in_doubt(self) -> tuple[Collection[str], str | None]:
        """Return the candidates whose rows may or may not be edited, and the start time of the last call."""

    @abstractmethod
    def settle_edits(self, edited: BoardEdited) -> None:
        """Record the outcome of edits; rows that were left are edited after they were read again."""


class Outbox(ABC):
    """Posts to be sent. Every method is one transaction, durable when it returns."""

    @abstractmethod
    def enqueue_accepted(self, *, since: datetime) -> int:
        """Create the missing posts of candidates that were accepted since a time; return their number."""

    @abstractmethod
    def cancel_stale(self, *, before: datetime) -> int:
        """Cancel pending posts that were accepted before a time; return their number."""

    @abstractmethod
    def pending_posts(self, limit: int) -> list[tuple[OutgoingPost, Draft]]:
        """Return pending posts with the candidates' texts and songs, in the order in which they were accepted."""

    @abstractmethod
    def is_repeat(self, candidate_id: str, text: str) -> bool:
        """Whether another candidate's post with the same text was or may have been sent."""

    @abstractmethod
    def claim(
        self, candidate_id: str, *, text: str, network: str, mode: PostMode, in_reply_to: str | None
    ) -> OutgoingPost | None:
        """Set a pending post to `SENDING`, with the whole text as the network gets it.

        None if another bot was faster or the verdict was taken back.
        """

    @abstractmethod
    def set_post(
        self, candidate_id: str, status: OutgoingPostStatus, *, external_id: str | None = None, reason: str = ""
    ) -> None:
        """Record the outcome of a post. One that becomes `PENDING` again is cancelled if it is no longer accepted."""

    @abstractmethod
    def doubtful_posts(self) -> list[OutgoingPost]:
        """Return the posts that are `SENDING` or `UNKNOWN`, the oldest attempt first."""

    @abstractmethod
    def external_ids(self, ids: Collection[str]) -> set[str]:
        """Return those of the network's ids that belong to posts known to be sent."""

    @abstractmethod
    def count_looked_up(self, network: str, posts: int) -> None:
        """Add posts that were read on the account's own timeline to this month's usage."""

    @abstractmethod
    def count_sent(self, *, since: datetime) -> int:
        """Return the number of posts that were or may have been sent since a time."""
