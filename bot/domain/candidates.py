"""Candidates in the queue, the flags on their texts, and the curators' verdicts."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from bot.domain.songs.song import SongReport
from handlers.contract import Sample


class CandidateStatus(StrEnum):
    """What the curator thinks of a candidate."""

    WAITING = "waiting"
    ACCEPTED = "accepted"
    REJECTED = "rejected"


class Decision(StrEnum):
    """What a verdict says."""

    ACCEPT = "accept"
    REJECT = "reject"
    UNDO = "undo"
    """The candidate waits again, as if nobody had decided; the earlier verdicts stay on record."""

    @property
    def status(self) -> CandidateStatus:
        """The status that a candidate has after this decision."""
        return _STATUS_AFTER[self]


_STATUS_AFTER = {
    Decision.ACCEPT: CandidateStatus.ACCEPTED,
    Decision.REJECT: CandidateStatus.REJECTED,
    Decision.UNDO: CandidateStatus.WAITING,
}


class Flag(StrEnum):
    """What a curator should know of a text before deciding."""

    PROFANITY = "profanity"
    """A word that some lists hold; also "Pussy Riot" and "Kill Bill", which is why it is no more than a flag."""
    COPY = "copy"
    """Holds a long run of words of the training text."""
    TOO_LONG = "too long"
    """Longer than the network takes, by its own way of counting."""
    REPEAT = "repeat"
    """Says what was posted before."""
    BLOCKED = "blocked"
    """Holds a slur: never posted, whatever the verdict."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """One sample in the queue, with all that the curator sees of it."""

    report: SongReport
    number: int
    """Place of the sample in the answer, from 1."""
    sample: Sample
    model: str
    model_version: str
    archive_sha256: str
    genres_unknown: tuple[str, ...] = ()
    """Genres of the song that the model does not know."""
    status: CandidateStatus = CandidateStatus.WAITING
    flags: tuple[Flag, ...] = ()
    """What was noticed when it was written; the text that is posted is looked at again."""
    score: float | None = None
    """Mean log-probability of a token, in nats; comparable within one model version."""

    @property
    def id(self) -> str:
        """Stable for ever: what a curator types and what a verdict refers to."""
        return candidate_id(self.report.source_post_id, self.report.number, self.number)


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """A curator's decision on a candidate."""

    candidate_id: str
    decision: Decision
    who: str
    edited_text: str | None = None
    """The text to post instead of the sample's."""


def candidate_id(source_post_id: str, song_number: int, sample_number: int) -> str:
    """The id of a candidate.

    >>> candidate_id("17", 1, 3)
    '17.1.3'
    """
    return f"{source_post_id}.{song_number}.{sample_number}"
