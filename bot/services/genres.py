"""What is known of a song: its artists as they are spelled, and their genres, from the best informed who answers."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta

from bot.domain.errors import CredentialsError, NetworkError
from bot.domain.keys import loose_key
from bot.domain.matching import fits, is_same_artist
from bot.domain.songs.song import Song, credit
from bot.ports import ArtistEntry, GenreCache, GenreLookup, SongFacts, SongHit, SongLookup, SongResolver
from bot.services.schedule import Clock

_REST_S = 60.0
"""How long a lookup that failed is left alone, unless it says when to come back; meanwhile the next ones answer."""
_LONG_REST_S = 3600.0
"""The same where a person has to act."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainOptions:
    """For how long answers are believed."""

    known_for: timedelta = timedelta(days=30)
    """An artist's genres."""
    unknown_for: timedelta = timedelta(days=3)
    """That nobody knows an artist, or any genre of theirs; shorter, since a new artist becomes known."""


DEFAULT_OPTIONS = ChainOptions()


class ChainResolver(SongResolver):
    """Asks what was said before, then each lookup in turn, then the table, until somebody knows genres.

    A lookup that fails is left alone for a while and does not stop the rest; that nobody knows is kept only if all were
    asked. A lookup's answer counts only if its name is that of the artist asked for. A guest's genres, or those of the
    artist who is covered, do where the artists' own are unknown.

    Args:
        songs: knows recordings; asked first, since its hit says how the artists are spelled.
        lookups: know artists, the best first; what they say is cached.
        table: answers at once and never fails: asked last, and what the parser asks for names.
        cache: what lookups said, over restarts.
        clock: tells the time.
        options: for how long answers are believed.
        notice: told when a lookup begins to be left alone.
    """

    def __init__(
        self,
        *,
        table: GenreLookup,
        songs: SongLookup | None = None,
        lookups: Sequence[GenreLookup] = (),
        cache: GenreCache | None = None,
        clock: Clock | None = None,
        options: ChainOptions = DEFAULT_OPTIONS,
        notice: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._table = table
        self._songs = songs
        self._lookups = tuple(lookups)
        self._cache = cache
        self._clock = clock or Clock()
        self._options = options
        self._rests = _Rests(self._clock, notice)

    def is_artist(self, name: str) -> bool:
        """See `SongResolver.is_artist`."""
        return self._table.find(name) is not None

    def resolve(self, song: Song) -> SongFacts:
        """See `SongResolver.resolve`."""
        hit = self._hit(song)
        # A hit that has genres saves the artists' lookups; only the table is asked for handles it does not spell out.
        find = self._table.find if hit is not None and hit.genres else self._find
        entries = [find(name) for name in song.artists]
        artist = credit(tuple(_spelled(name, hit, entry) for name, entry in zip(song.artists, entries, strict=True)))
        url = hit.url if hit is not None else ""
        if hit is not None and hit.genres:
            return SongFacts(artist=artist, genres=hit.genres, origin=hit.origin, url=url)
        known = [entry for entry in entries if entry is not None and entry.genres]
        if not known:
            others = (*song.featured, *((song.cover_of,) if song.cover_of else ()))
            known = [entry for entry in map(self._find, others) if entry is not None and entry.genres]
        genres = tuple(dict.fromkeys(genre for entry in known for genre in entry.genres))
        return SongFacts(artist=artist, genres=genres, origin=known[0].origin if known else "", url=url)

    def _hit(self, song: Song) -> SongHit | None:
        songs = self._songs
        if songs is None or not self._rests.may_ask(songs):
            return None
        try:
            hit = songs.find_song(song)
        except NetworkError as error:
            self._rests.begin(songs, error)
            return None
        return hit if hit is not None and fits(song, hit.artists, hit.title) else None

    def _find(self, artist: str) -> ArtistEntry | None:
        """The best entry of an artist: one with genres if anybody has them."""
        named: ArtistEntry | None
        key = loose_key(artist)
        cached = self._cache.get(key) if self._cache is not None else None
        if cached is not None:
            named = cached.entry
        else:
            named, everybody_answered = self._ask(artist)
            has_genres = named is not None and bool(named.genres)
            if self._cache is not None and self._lookups and (everybody_answered or has_genres):
                # What a second choice said while the first was away is believed for the shorter time.
                sure = has_genres and everybody_answered
                believed = self._options.known_for if sure else self._options.unknown_for
                self._cache.put(key, named, expires_at=self._clock.now() + believed)
        if named is not None and named.genres:
            return named
        return self._table.find(artist) or named

    def _ask(self, artist: str) -> tuple[ArtistEntry | None, bool]:
        """The first entry with genres, else the first at all; and whether every lookup was asked and answered."""
        named: ArtistEntry | None = None
        everybody_answered = True
        for lookup in self._lookups:
            if not self._rests.may_ask(lookup):
                everybody_answered = False
                continue
            try:
                entry = lookup.find(artist)
            except NetworkError as error:
                self._rests.begin(lookup, error)
                everybody_answered = False
                continue
            if entry is None or not is_same_artist(artist, entry.name):
                continue
            if entry.genres:
                return entry, everybody_answered
            named = named or entry
        return named, everybody_answered


class TableResolver(ChainResolver):
    """Asks a table alone.

    Args:
        table: answers at once.
    """

    def __init__(self, table: GenreLookup) -> None:
        super().__init__(table=table)


class _Rests:
    """Which lookups are left alone, and until when; in memory, since the first failure after a restart finds out."""

    def __init__(self, clock: Clock, notice: Callable[[str], None]) -> None:
        self._clock = clock
        self._notice = notice
        self._until: dict[object, float] = {}
        self._lock = threading.Lock()

    def may_ask(self, lookup: object) -> bool:
        with self._lock:
            return self._clock.monotonic() >= self._until.get(lookup, 0.0)

    def begin(self, lookup: object, error: NetworkError) -> None:
        rest = _LONG_REST_S if isinstance(error, CredentialsError) else _REST_S
        if error.retry_at is not None:
            # No longer than an hour: a clock that jumped, or a service that says "in a day", must not cost the day.
            rest = min(max(0.0, (error.retry_at - self._clock.now()).total_seconds()), _LONG_REST_S)
        with self._lock:
            self._until[lookup] = self._clock.monotonic() + rest
        self._notice(f"{error}; without it for {rest:.0f} s")


def _spelled(name: str, hit: SongHit | None, entry: ArtistEntry | None) -> str:
    """An artist's name as the hit spells it; a handle that it does not have, as the entry does."""
    found = next((each for each in hit.artists if is_same_artist(name, each)), "") if hit is not None else ""
    return found or (entry.name if entry is not None and name.startswith("@") else name)
