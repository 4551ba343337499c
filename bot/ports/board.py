"""The curators' board, and the bot's record of it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass

from bot.domain.candidates import Candidate, Verdict
from bot.domain.odd_items import OddItem
from bot.domain.storable import make_storable
from bot.ports.store import QueueRow

TextRule = Callable[[QueueRow, str], str]
"""A rule for a candidate with a text: the reason why it may not be accepted, or the post as it would be sent."""


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
class Origin:
    """Version and score as the board shows them: both are empty while the candidate is blind."""

    variant: str
    score: float | None

    @classmethod
    def of(cls, candidate: Candidate) -> Origin:
        """Return what the board shows of a candidate's origin."""
        return cls(variant=candidate.variant, score=candidate.shown_score)


@dataclass(frozen=True, slots=True, kw_only=True)
class BoardEdit:
    """Change of a row: a verdict given elsewhere, in the terminal or in the studio, or one that was not taken."""

    seen: BoardRow
    """Row when it was last read; a row with another content is left to the person who changed it."""
    status: str
    text: str | None = None
    """New text; None leaves the text as it is."""
    who: str = ""
    note: str | None = None
    """Note for the curator beside the status; empty to remove one, None to leave what is there."""
    post: str | None = None
    """The post as it will be sent, for boards that show it."""
    origin: Origin | None = None
    """Version and score of the candidate; None to leave what is there."""

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
    noted: frozenset[str] = frozenset()
    """Candidates whose rows may have another one's note or post, for the same reason."""


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

    @property
    def shows_posts(self) -> bool:
        """Whether the prepared table has a place for posts as they will be sent."""
        return False

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
    """Changes that are not verdicts, in words: an unknown status, a text that may not be accepted."""
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
    def apply_board(
        self, rows: Iterable[BoardRow], *, objection_to: TextRule, shows_posts: bool = False
    ) -> BoardChanges:
        """Record the verdicts of rows that have changed since they were last read.

        A row that is accepted with a text to which the rule objects is not taken: its status is set back by the next
        edits, and the reason becomes its note until the row is right. A candidate that was accepted with another text
        before waits again, unless its post may be out.

        Args:
            rows: all rows of the board.
            objection_to: reason why a candidate may not be accepted with a text; empty without one.
            shows_posts: whether the board shows posts, which follow the texts of its rows.

        Only changes count, so that an old row does not undo a verdict given elsewhere. A row that a person changed wins
        over a verdict given elsewhere that the row does not show yet: the order of the two is unknown, and the
        alternative would overwrite what somebody typed. Both verdicts stay on record.
        """

    @abstractmethod
    def begin_edits(self, limit: int, *, post_of: TextRule) -> list[BoardEdit]:
        """Mark edits that the board does not show, before the call that writes them; return them.

        Args:
            limit: maximum number of edits.
            post_of: the post of a candidate with a text.
        """

    @abstractmethod
    def edits_in_doubt(self) -> tuple[Collection[str], str | None]:
        """Return the candidates whose rows may or may not be edited, and the start time of the last call."""

    @abstractmethod
    def settle_edits(self, edited: BoardEdited) -> None:
        """Record the outcome of edits; rows that were left are edited after they were read again."""
