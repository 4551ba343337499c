"""Record of a restore: the account's own posts, of which the restored database may know nothing."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

from bot.domain.outgoing_posts import OwnPost


@dataclass(frozen=True, slots=True, kw_only=True)
class Restored:
    """State of a database that was restored from a backup."""

    at: str
    """Time of the restore."""
    since: datetime
    """Time of the last change in the backup, aware: later posts may be unknown to it."""
    looked: frozenset[str] = frozenset()
    """Names of the outputs whose own posts were read."""
    board_read: bool = False
    """Whether the verdicts on the board were read."""
    trusted: bool = False
    """Whether a person said that nothing was sent after the backup."""
    settled: bool = False
    """Whether everything that sending waited for was done."""
    compared: int = 0
    """Place of the last candidate whose texts were compared with the own posts."""
    unread: int = 0
    """Number of own posts that were found in a form that cannot be read."""

    @property
    def waits(self) -> bool:
        """Whether nothing is sent yet."""
        return not (self.settled or self.trusted)


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundPost:
    """An own post that belongs to no post in the database."""

    network: str
    own: OwnPost
    about: str = ""
    """Candidate that was refused because this post may be of its song."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UnsentText:
    """A text of a candidate that is not known to be sent."""

    place: int
    """Number that grows with each candidate."""
    candidate_id: str
    text: str
    artist: str
    title: str
    is_accepted: bool


class RestoreState(ABC):
    """Reader of the state of a restore."""

    @abstractmethod
    def restored(self) -> Restored | None:
        """State of the restore; None if the database was never restored."""


class RestoreRecord(RestoreState):
    """Record of a restore, within the database. Every method is one transaction, durable when it returns."""

    @abstractmethod
    def networks_posted_to(self) -> set[str]:
        """Return the names of the outputs that the database knows posts of."""

    @abstractmethod
    def newest_sent(self, network: str) -> str | None:
        """Return the network's id of the newest post that is known to be sent to it."""

    @abstractmethod
    def keep_own_posts(self, network: str, posts: Iterable[OwnPost]) -> None:
        """Keep an output's own posts, and record that they were read; all candidates are to be compared with them."""

    @abstractmethod
    def found_posts(self) -> list[FoundPost]:
        """Return the own posts that can be read and belong to no post in the database, the oldest first."""

    @abstractmethod
    def unsent_texts(self, *, after: int) -> Iterator[UnsentText]:
        """Return the texts, as generated and as edited, of the candidates behind a place that are not sent."""

    @abstractmethod
    def set_compared(self, place: int) -> None:
        """Record the place of the last candidate that was compared."""

    @abstractmethod
    def set_found(self, candidate_id: str, found: FoundPost) -> bool:
        """Record that a candidate is accepted and sent as an own post; False if it was sent already."""

    @abstractmethod
    def set_about(self, candidate_id: str, found: FoundPost) -> None:
        """Record that a candidate was refused because an own post may be of its song."""

    @abstractmethod
    def set_board_read(self) -> None:
        """Record that the verdicts on the board were read."""

    @abstractmethod
    def set_settled(self) -> None:
        """Record that sending waits for nothing more."""

    @abstractmethod
    def trust(self) -> None:
        """Record that a person said that nothing was sent after the backup."""
