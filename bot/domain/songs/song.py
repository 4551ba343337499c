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
    """At least one artist, spelled as in the text; a handle keeps its "@"."""
    title: str
    """Title as written between the quotes; without quotes, the text minus annotations in brackets."""
    featured: tuple[str, ...] = ()
    version: str | None = None
    """Recording that is meant: "live", "Remix", "Overmono Remix"."""
    cover_of: str | None = None
    """Original artist when `artists` perform a cover."""
    confidence: float
    """Confidence of the pattern that matched, 0 to 1."""

    @property
    def key(self) -> str:
        """Key of the recording, equal for its different spellings."""
        names = sorted(filter(None, map(text_key, self.artists)))
        return "\x1f".join((text_key(self.title), text_key(self.version or ""), *names))

    def as_document(self) -> dict[str, object]:
        """Return the song as `bot parse` prints it."""
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
    """A song of a source post with its lookups: one request to the model, one group of rows in the queue."""

    source_post_id: str
    number: int
    """Position of the song in the source post, from 1."""
    song: Song
    artist: str
    """The artists as one line, with handles replaced by names where those are known."""
    genres: tuple[str, ...]
    """Genres of the artists; empty when no lookup knows any."""
    origin: str = ""
    """Lookup that gave the genres: "spotify", "last.fm", "musicbrainz", "table"; empty when none did."""
    url: str = ""
    """Web address to listen to the song; empty when unknown."""
    genres_asked: tuple[str, ...] = ()
    """Genres of the request in place of `genres`, none of which the model knows; empty if they were not replaced."""

    @property
    def genre_line(self) -> str:
        """The genres in one line, and behind an arrow those of the request: "reggae -> jazz rap"."""
        known = ", ".join(self.genres) or UNKNOWN_GENRE
        return f"{known} -> {', '.join(self.genres_asked)}" if self.genres_asked else known

    @property
    def seed(self) -> int:
        """Seed of the song's request."""
        return request_seed(self.source_post_id, self.number, self.song)


def request_seed(source_post_id: str, song_number: int, song: Song) -> int:
    """Return the seed of a song's request, 0 to 2**63 - 1.

    The seed depends on the source post and the song alone. A bot that was killed between the answer and the commit
    repeats the request after its restart, and the same seed gives the same text.
    """
    key = "\x1f".join((source_post_id, str(song_number), song.title, *song.artists))
    # Big-endian and cut by a mask, so that the number is the same on every machine.
    return int.from_bytes(hashlib.sha256(key.encode("utf-8", "replace")).digest()[:8], "big") & MAX_SEED


def credit(names: tuple[str, ...]) -> str:
    """Join several artists into one line.

    >>> credit(("Ona Vell", "Tor Brisk", "Mica Dunn"))
    'Ona Vell, Tor Brisk & Mica Dunn'
    """
    return " & ".join(filter(None, (", ".join(names[:-1]), *names[-1:])))
