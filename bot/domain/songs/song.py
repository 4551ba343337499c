"""A song that a text names, and the report of the lookups on it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from bot.domain.keys import text_key
from handlers.contract import MAX_SEED

UNKNOWN_GENRE = "unknown"
"""Genre that the curator reads when no lookup knew the artist."""


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
