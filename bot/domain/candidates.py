"""Candidates in the queue, the flags on their texts, and the curators' verdicts."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from bot.domain.songs.song import SongReport
from bot.domain.storable import make_storable
from handlers.contract import Sample


class CandidateStatus(StrEnum):
    """Status of a candidate by its last verdict."""

    WAITING = "waiting"
    ACCEPTED = "accepted"
    REJECTED = "rejected"


class Decision(StrEnum):
    """Content of a verdict."""

    ACCEPT = "accept"
    REJECT = "reject"
    UNDO = "undo"
    """The candidate waits again; the earlier verdicts stay on record."""

    @property
    def status(self) -> CandidateStatus:
        """Status of a candidate after this decision."""
        return _STATUS_AFTER[self]


_STATUS_AFTER = {
    Decision.ACCEPT: CandidateStatus.ACCEPTED,
    Decision.REJECT: CandidateStatus.REJECTED,
    Decision.UNDO: CandidateStatus.WAITING,
}


class RejectReason(StrEnum):
    """Reasons for which a curator may reject a candidate, in the order of their keys, 1 to 5."""

    UNFIT = "does not fit the song"
    NONSENSE = "makes no sense"
    LANGUAGE = "bad language"
    DULL = "dull or heard before"
    OFFENSIVE = "offensive"


BLIND = "shown when every candidate of the song has a verdict"
"""Words in the place of a version while its candidate is blind."""
NO_SONG = "no song"
"""Reason of a withdrawal: the source post does not name this song."""
SONG_CHANGED = "song changed"
"""Reason of a withdrawal: a curator changed the song, which has new candidates."""


class Flag(StrEnum):
    """Property of a text that a curator should see before deciding."""

    PROFANITY = "profanity"
    """Contains a word of a profanity list. Names such as "Pussy Riot" match too, so it does not block the text."""
    COPY = "copy"
    """Contains a long run of words of the training text."""
    TOO_LONG = "too long"
    """The post is longer than the network accepts, by its own way of counting: it has to be edited first."""
    REPEAT = "repeat"
    """Equal to a text that was posted before."""
    LINK = "link"
    """The post has a link; X charges more for those."""
    MENTION = "mention"
    """The post names an account, which is notified."""
    HASHTAG = "hashtag"
    PLACEHOLDER = "placeholder"
    """The text has a placeholder such as <artist>, which should have been replaced."""
    DOUBLED = "doubled word"
    """The text has a word twice in a row."""
    NAMESAKES = "namesakes"
    """The artist's name is one word that others have as well: the genres may be another artist's."""
    HIDDEN = "hidden character"
    """The post has a character that no reader sees: it has to be edited first."""
    BLOCKED = "blocked"
    """Contains a slur, other than in its song's own name: never posted, whatever the verdict."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A sample in the queue, with everything that the curator sees of it."""

    report: SongReport
    number: int
    """Position of the sample in the model server's answer, from 1."""
    sample: Sample
    model: str
    model_version: str
    archive_sha256: str
    genres_unknown: tuple[str, ...] = ()
    """Genres of the song that the model does not know."""
    status: CandidateStatus = CandidateStatus.WAITING
    flags: tuple[Flag, ...] = ()
    """Flags of the sample's text when it was generated; the text is checked again before it is posted."""
    score: float | None = None
    """Mean log-probability of a token, in nats; comparable within one model version."""
    withdrawn: str = ""
    """Reason why it counts neither for nor against its model, `NO_SONG` or `SONG_CHANGED`; empty if it counts."""
    experiment: str = ""
    """Experiment to which its song belongs; empty if it belongs to none."""
    exposure_id: str = ""
    """Id of the exposure that the gateway recorded of its arm's answer; empty if the gateway named none."""
    trace_id: str = ""
    """Trace of the request for its song, 32 hexadecimal digits; empty if it belongs to none. It leads to the versions
    that answered, so that it is not shown while the candidate is blind."""
    song_waits: bool = False
    """Whether a candidate of its song, of the same experiment, waits, as the store knows it."""

    @property
    def id(self) -> str:
        """Permanent id: curators type it, and verdicts refer to it."""
        return candidate_id(self.report.source_post_id, self.report.number, self.number)

    @property
    def is_blind(self) -> bool:
        """Whether nothing may tell a curator the version: it or another candidate of its experiment's song waits.

        The arms of a song have equal numbers of samples, or one arm has them all, so that the versions of those that
        are decided would tell those of the rest.
        """
        return bool(self.experiment) and (self.status is CandidateStatus.WAITING or self.song_waits)

    @property
    def variant(self) -> str:
        """Model and version as a table shows them; empty while the candidate is blind."""
        return "" if self.is_blind else f"{self.model} {self.model_version}"

    @property
    def shown_score(self) -> float | None:
        """The score as a table shows it; None while the candidate is blind, because versions differ in their scores."""
        return None if self.is_blind else self.score


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """A curator's decision on a candidate."""

    candidate_id: str
    decision: Decision
    who: str
    edited_text: str | None = None
    """Text to post instead of the sample's."""
    reason: str = ""
    """Reason of a rejection, mostly one of `RejectReason`; empty if none was given."""

    def __post_init__(self) -> None:
        make_storable(self, "candidate_id", "who", "edited_text")


def candidate_id(source_post_id: str, song_number: int, sample_number: int) -> str:
    """Return the id of a candidate.

    >>> candidate_id("17", 1, 3)
    '17.1.3'
    """
    return f"{source_post_id}.{song_number}.{sample_number}"
