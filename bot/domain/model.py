"""The bot's nouns: tweet, song, candidate, verdict, and the statuses they go through."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from enum import StrEnum

from handlers.contract import MAX_SEED, Sample

UNKNOWN_GENRE = "unknown"
"""What the curator reads where no catalog knew an artist."""


class TweetStatus(StrEnum):
    """Where a tweet of the feed stands; every state but `PENDING` is final, so a handled tweet is never read again."""

    PENDING = "pending"
    """Read and stored; not handled yet."""
    DONE = "done"
    """Its candidates are in the queue."""
    NO_SONG = "no song"
    """The parser found no song in it."""
    FAILED = "failed"
    """At least one of its songs was refused; the reason is stored with it."""


class CandidateStatus(StrEnum):
    """What the curator thinks of a candidate."""

    WAITING = "waiting"
    ACCEPTED = "accepted"
    REJECTED = "rejected"


class Decision(StrEnum):
    """What a verdict says."""

    ACCEPT = "accept"
    REJECT = "reject"

    @property
    def status(self) -> CandidateStatus:
        """The status that a candidate has after this decision."""
        return CandidateStatus.ACCEPTED if self is Decision.ACCEPT else CandidateStatus.REJECTED


@dataclass(frozen=True, slots=True, kw_only=True)
class Tweet:
    """One item of a feed, as its source gave it."""

    id: str
    text: str
    author: str = ""
    created_at: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class BadRow:
    """A row of a feed that is no tweet: recorded and passed over."""

    line: int
    """Counted from 1."""
    reason: str
    excerpt: str
    """The beginning of the row."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Song:
    """A song that a text names."""

    artists: tuple[str, ...]
    """As written, at least one; a handle keeps its "@"."""
    title: str
    """As written between the quotes; without quotes, less the annotations in brackets."""
    featured: tuple[str, ...] = ()
    version: str | None = None
    """Which recording: "live", "Remix", "Overmono Remix"."""
    cover_of: str | None = None
    """Whose song it is when `artists` perform somebody else's."""
    confidence: float
    """How sure the pattern is, 0 to 1."""

    def as_document(self) -> dict[str, object]:
        """The song as `bot parse` prints it."""
        document: dict[str, object] = {
            "artists": list(self.artists),
            "title": self.title,
            "featured": list(self.featured),
            "version": self.version,
            "confidence": self.confidence,
        }
        if self.cover_of is not None:
            document["cover_of"] = self.cover_of
        return document


@dataclass(frozen=True, slots=True, kw_only=True)
class SongReport:
    """A song of a tweet, with what was looked up for it: one request, and one group of rows in the queue."""

    tweet_id: str
    number: int
    """Place of the song in the tweet, from 1."""
    song: Song
    artist: str
    """The artists as one line, handles replaced by the names they stand for where those are known."""
    genres: tuple[str, ...]
    """Empty when no artist is known."""

    @property
    def seed(self) -> int:
        """Seed of the song's request."""
        return request_seed(self.tweet_id, self.number, self.song)


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

    @property
    def id(self) -> str:
        """Stable for ever: what a curator types and what a verdict refers to."""
        return candidate_id(self.report.tweet_id, self.report.number, self.number)


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """A curator's decision on a candidate."""

    candidate_id: str
    decision: Decision
    who: str
    edited_text: str | None = None
    """The text to post instead of the sample's."""


def candidate_id(tweet_id: str, song_number: int, sample_number: int) -> str:
    """The id of a candidate.

    >>> candidate_id("17", 1, 3)
    '17.1.3'
    """
    return f"{tweet_id}.{song_number}.{sample_number}"


def request_seed(tweet_id: str, song_number: int, song: Song) -> int:
    """The seed of a song's request, 0 to 2**63 - 1.

    It depends on the tweet and the song alone. A bot that was killed between the answer and the commit asks again
    after its restart, and the same seed brings the same text.
    """
    key = "\x1f".join((tweet_id, str(song_number), song.title, *song.artists))
    # Big-endian and cut by a mask, so that the number is the same on every machine.
    return int.from_bytes(hashlib.sha256(key.encode("utf-8", "replace")).digest()[:8], "big") & MAX_SEED


def credit(names: tuple[str, ...]) -> str:
    """Several artists as one line.

    >>> credit(("Ona Vell", "Tor Brisk", "Mica Dunn"))
    'Ona Vell, Tor Brisk & Mica Dunn'
    """
    return " & ".join(filter(None, (", ".join(names[:-1]), *names[-1:])))
