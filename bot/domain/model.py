"""The bot's nouns: tweet, song, candidate, verdict, and the statuses they go through."""

from __future__ import annotations

import hashlib
import html
import unicodedata
from dataclasses import dataclass
from enum import StrEnum

from handlers.contract import MAX_SEED, Sample

UNKNOWN_GENRE = "unknown"
"""What the curator reads where no catalog knew an artist."""


class SourcePostStatus(StrEnum):
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


class Kind(StrEnum):
    """How an item came to the bot."""

    FEED = "feed"
    """A row of a file."""
    TIMELINE = "timeline"
    """A post by an account that the bot follows."""
    MENTION = "mention"
    """A post that names the bot: somebody asks for commentary, and may be replied to."""


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


class PostMode(StrEnum):
    """How a post stands to the tweet that it answers."""

    STANDALONE = "standalone"
    REPLY = "reply"
    QUOTE = "quote"


class OutgoingPostStatus(StrEnum):
    """Where a post stands. `SENT`, `REFUSED` and `CANCELLED` are final, save that a new verdict revives the last."""

    PENDING = "pending"
    """Accepted, and to be sent."""
    SENDING = "sending"
    """A call is under way, or the bot was killed during it."""
    SENT = "sent"
    UNKNOWN = "unknown"
    """The call ended without saying whether the post is out; to be looked up among the account's own posts."""
    REFUSED = "refused"
    """The network or the bot's own rules refuse it; the reason is stored with it."""
    CANCELLED = "cancelled"
    """The verdict was taken back or is too old."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SourcePost:
    """One item of a feed, as its source gave it."""

    id: str
    """Unique over all networks: X's bare id, "bsky:..." and "masto:..." for Bluesky's and Mastodon's."""
    text: str
    """Whole, with entities such as `&amp;` as the source gave them."""
    author: str = ""
    created_at: str = ""
    kind: Kind = Kind.FEED
    lang: str = ""
    """As the network says, "en"; empty when it does not."""
    url: str = ""
    """Where people read it."""

    @property
    def network(self) -> str:
        """The network that the id belongs to; empty for a row of a file, which may be from anywhere.

        >>> SourcePost(id="bsky:at://1", text="", kind=Kind.TIMELINE).network
        'bsky'
        """
        if self.kind is Kind.FEED:
            return ""
        prefix, colon, _ = self.id.partition(":")
        return prefix if colon else "x"


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

    @property
    def key(self) -> str:
        """Equal for the same recording as different people write it."""
        names = sorted(filter(None, map(text_key, self.artists)))
        return "\x1f".join((text_key(self.title), text_key(self.version or ""), *names))

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

    source_post_id: str
    number: int
    """Place of the song in the tweet, from 1."""
    song: Song
    artist: str
    """The artists as one line, handles replaced by the names they stand for where those are known."""
    genres: tuple[str, ...]
    """Empty when no artist is known."""
    origin: str = ""
    """Who knew the genres: "spotify", "last.fm", "musicbrainz", "table"; empty when nobody did."""
    url: str = ""
    """Where the song can be heard, when the lookup knows."""

    @property
    def seed(self) -> int:
        """Seed of the song's request."""
        return request_seed(self.source_post_id, self.number, self.song)


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


@dataclass(frozen=True, slots=True, kw_only=True)
class OutgoingPost:
    """An accepted candidate on its way out; there is at most one for a candidate."""

    candidate_id: str
    text: str
    """The curator's text where there is one, else the sample's."""
    network: str = ""
    """Where it goes or went, as `Publisher.name` has it; empty before the first attempt."""
    mode: PostMode = PostMode.STANDALONE
    in_reply_to: str | None = None
    """Id of the tweet that a reply or a quote refers to, as `SourcePost.id` has it."""
    status: OutgoingPostStatus = OutgoingPostStatus.PENDING
    attempts: int = 0
    after_id: str | None = None
    """The newest post of the account that the bot knew of when it began to send: what is looked up lies behind it."""
    attempted_at: str | None = None
    external_id: str | None = None
    """The network's id of the post, once it is known to be out."""
    reason: str = ""
    """Why it was refused, cancelled, put off or is in doubt."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnPost:
    """A post of the bot's account, as the network shows it."""

    id: str
    text: str
    """As it was written: entities unescaped, shortened links written out."""
    created_at: str = ""


def text_key(text: str) -> str:
    """Letters and digits alone: equal for texts that a reader, or a network that tidies texts up, takes for the same.

    >>> text_key("A slow\u2014lamp &amp; more!") == text_key("a Slow lamp & more")
    True
    """
    plain = unicodedata.normalize("NFKC", html.unescape(text)).casefold()
    return "".join(filter(str.isalnum, plain)) or " ".join(plain.split())


def candidate_id(source_post_id: str, song_number: int, sample_number: int) -> str:
    """The id of a candidate.

    >>> candidate_id("17", 1, 3)
    '17.1.3'
    """
    return f"{source_post_id}.{song_number}.{sample_number}"


def request_seed(source_post_id: str, song_number: int, song: Song) -> int:
    """The seed of a song's request, 0 to 2**63 - 1.

    It depends on the tweet and the song alone. A bot that was killed between the answer and the commit asks again
    after its restart, and the same seed brings the same text.
    """
    key = "\x1f".join((source_post_id, str(song_number), song.title, *song.artists))
    # Big-endian and cut by a mask, so that the number is the same on every machine.
    return int.from_bytes(hashlib.sha256(key.encode("utf-8", "replace")).digest()[:8], "big") & MAX_SEED


def credit(names: tuple[str, ...]) -> str:
    """Several artists as one line.

    >>> credit(("Ona Vell", "Tor Brisk", "Mica Dunn"))
    'Ona Vell, Tor Brisk & Mica Dunn'
    """
    return " & ".join(filter(None, (", ".join(names[:-1]), *names[-1:])))
