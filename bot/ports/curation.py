"""Songs that curators correct, and the curators' view of each other."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from bot.domain.candidates import NO_SONG, SONG_CHANGED, Candidate
from bot.domain.source_posts import SourcePost
from bot.ports.store import QueueRow


class SongLabel(StrEnum):
    """A curator's judgement of a song that the parser found."""

    NO_SONG = NO_SONG
    """The source post does not name it."""
    CHANGED = SONG_CHANGED
    """Its artist, title or genres were wrong."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Correction:
    """A judgement of a song, together with the state of the candidates that the curator saw."""

    place: str
    """Place of the song in the queue."""
    label: SongLabel
    who: str
    seen: Mapping[str, int]
    """`DeskRow.verdict_id` of the song's candidates on the page, with all that wait among them."""
    candidates: tuple[Candidate, ...] = ()
    """Candidates of the changed song, which has the number that `SongDesk.next_number` returned."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelRow:
    """A song of a source post with a curator's judgement, for those who improve the parser."""

    source_post_id: str
    text: str
    """The source post's text."""
    artists: tuple[str, ...]
    title: str
    """Artists and title as the parser found them."""
    label: SongLabel
    right_artist: str
    right_title: str
    right_genres: tuple[str, ...]
    """Artist, title and genres by the curator; empty for what is not a song."""
    who: str
    labelled_at: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """Number of candidates with a verdict since some time."""

    mine: int
    everybody: int
    waiting: int
    recent: int
    """Those of `mine` that were given in the last minutes."""


class SongDesk(ABC):
    """Corrections of songs. Every method is one transaction."""

    @abstractmethod
    def song(self, place: str) -> Sequence[QueueRow]:
        """Return all candidates of a song.

        Raises:
            InputError: it is not a place.
            UnknownCandidateError: no song is there.
        """

    @abstractmethod
    def next_number(self, source_post_id: str) -> int:
        """Return the number of a source post's next song."""

    @abstractmethod
    def correct(self, correction: Correction) -> None:
        """Withdraw a song's candidates, but those that are or may be posted, and add those of the changed song.

        A withdrawn candidate is rejected, and counts neither for nor against its model.

        Raises:
            UnknownCandidateError: no song is there.
            StaleVerdictError: somebody else has decided on a candidate or corrected the song since.
        """

    @abstractmethod
    def restore(self, place: str, who: str) -> None:
        """Undo the last correction of a song: what was withdrawn waits again, and what replaced it is withdrawn.

        Raises:
            StaleVerdictError: there is no correction, or a candidate of the changed song is or may be posted.
        """

    @abstractmethod
    def add_song(self, source_post: SourcePost, candidates: Sequence[Candidate]) -> bool:
        """Add a song that a curator tried, with its candidates; False if the source post is there already."""

    @abstractmethod
    def labels(self) -> Iterator[LabelRow]:
        """Read the judgements that hold, the oldest first."""


class CuratorDesk(ABC):
    """The curators' work."""

    @abstractmethod
    def progress(self, who: str, *, since: datetime, recently: datetime) -> Progress:
        """Count the verdicts that hold and were given since a time."""

    @abstractmethod
    def look(self, who: str, place: str) -> None:
        """Record the song that a curator looks at; an empty place if none."""

    @abstractmethod
    def lookers(self, *, since: datetime) -> Mapping[str, tuple[str, ...]]:
        """Return the curators that look at a song, by its place."""
