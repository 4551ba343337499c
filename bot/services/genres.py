"""Lookup of a song's artists and genres: earlier answers, then each lookup in order of quality, then the table."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta

from typing_extensions import override

from bot.domain.errors import CredentialsError, NetworkError, OddAnswerError
from bot.domain.keys import loose_key
from bot.domain.matching import fits, is_same_artist
from bot.domain.namesakes import Namesakes
from bot.domain.songs.song import Song, credit
from bot.ports import ArtistEntry, GenreCache, GenreLookup, OddItems, SongFacts, SongHit, SongLookup, SongResolver
from bot.services.schedule import Clock

_REST_S = 60.0
"""Pause of a failed lookup, unless it gave a time; meanwhile the next lookups answer."""
_LONG_REST_S = 3600.0
"""Pause of a lookup whose failure needs a person to act."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainOptions:
    """Lifetimes of cached answers."""

    known_for: timedelta = timedelta(days=30)
    """Lifetime of an artist's genres."""
    unknown_for: timedelta = timedelta(days=3)
    """Lifetime of the answer that no lookup knows an artist's genres; shorter, since a new artist becomes known."""


DEFAULT_OPTIONS = ChainOptions()


class ChainResolver(SongResolver):
    """Resolver that asks the cache, then each lookup in turn, then the table, until one has genres.

    A failed lookup is paused and does not stop the others; that no lookup knows an artist is cached only if all were
    asked. An answer counts only if its name matches the artist. If the artists' own genres are unknown, those of a
    guest or of the original artist of a cover are used.

    Args:
        songs: lookup of recordings; asked first, since its hit gives the spelling of the artists.
        lookups: lookups of artists, the best first; their answers are cached.
        table: local table that never fails: asked last, and by the parser for names.
        cache: answers of the lookups, kept over restarts.
        clock: the time.
        options: lifetimes of cached answers.
        notice: called with a message when a lookup is paused.
        namesakes: tells names that several artists may have.
        odd: keeps answers that cannot be read.
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
        odd: OddItems | None = None,
        namesakes: Namesakes | None = None,
    ) -> None:
        self._namesakes = namesakes or Namesakes()
        self._odd = odd
        self._table = table
        self._songs = songs
        self._lookups = tuple(lookups)
        self._cache = cache
        self._clock = clock or Clock()
        self._options = options
        self._pauses = _Pauses(self._clock, notice)

    @override
    def is_artist(self, name: str) -> bool:
        return self._table.find(name) is not None

    @override
    def resolve(self, song: Song) -> SongFacts:
        hit = self._hit(song)
        # A hit with genres saves the lookups of the artists; the table still resolves handles that the hit lacks.
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
        # A song's own hit names the artist by the title as well; here the name is all that was compared.
        hidden = any(self._namesakes.may_hide(entry.name, entry.genres) for entry in known)
        origin = known[0].origin if known else ""
        return SongFacts(artist=artist, genres=genres, origin=origin, url=url, namesakes=hidden)

    def _hit(self, song: Song) -> SongHit | None:
        songs = self._songs
        if songs is None or not self._pauses.may_ask(songs):
            return None
        try:
            hit = songs.find_song(song)
        except NetworkError as error:
            self._failed(songs, error)
            return None
        return hit if hit is not None and fits(song, hit.artists, hit.title) else None

    def _find(self, artist: str) -> ArtistEntry | None:
        """Return the best entry of an artist: one with genres if any lookup has them."""
        named: ArtistEntry | None
        key = loose_key(artist)
        cached = self._cache.get(key) if self._cache is not None else None
        if cached is not None:
            named = cached.entry
        else:
            named, everybody_answered = self._ask(artist)
            has_genres = named is not None and bool(named.genres)
            if self._cache is not None and self._lookups and (everybody_answered or has_genres):
                # An answer given while a better lookup was unavailable gets the shorter lifetime.
                sure = has_genres and everybody_answered
                believed = self._options.known_for if sure else self._options.unknown_for
                self._cache.put(key, named, expires_at=self._clock.now() + believed)
        if named is not None and named.genres:
            return named
        return self._table.find(artist) or named

    def _ask(self, artist: str) -> tuple[ArtistEntry | None, bool]:
        """Return the first entry with genres, else the first entry, and whether every lookup answered."""
        named: ArtistEntry | None = None
        everybody_answered = True
        for lookup in self._lookups:
            if not self._pauses.may_ask(lookup):
                everybody_answered = False
                continue
            try:
                entry = lookup.find(artist)
            except NetworkError as error:
                self._failed(lookup, error)
                everybody_answered = False
                continue
            if entry is None or not is_same_artist(artist, entry.name):
                continue
            if entry.genres:
                return entry, everybody_answered
            named = named or entry
        return named, everybody_answered

    def _failed(self, lookup: GenreLookup | SongLookup, error: NetworkError) -> None:
        """Pause a lookup that failed; one odd answer is set aside, and the lookup goes on."""
        if not isinstance(error, OddAnswerError):
            self._pauses.begin(lookup, error)
        elif self._odd is not None:
            self._odd.set_aside(error.service, [error.item])


class _Pauses:
    """Pauses of lookups, in memory: after a restart, the first failure pauses a lookup again."""

    def __init__(self, clock: Clock, notice: Callable[[str], None]) -> None:
        self._clock = clock
        self._notice = notice
        self._until: dict[object, float] = {}
        self._lock = threading.Lock()

    def may_ask(self, lookup: object) -> bool:
        with self._lock:
            return self._clock.monotonic() >= self._until.get(lookup, 0.0)

    def begin(self, lookup: object, error: NetworkError) -> None:
        pause_s = _LONG_REST_S if isinstance(error, CredentialsError) else _REST_S
        if error.retry_at is not None:
            # At most an hour: a clock that jumped, or a service that asks for a day, must not cost the day.
            pause_s = min(max(0.0, (error.retry_at - self._clock.now()).total_seconds()), _LONG_REST_S)
        with self._lock:
            self._until[lookup] = self._clock.monotonic() + pause_s
        self._notice(f"{error}; without it for {pause_s:.0f} s")


def _spelled(name: str, hit: SongHit | None, entry: ArtistEntry | None) -> str:
    """Return an artist's name as the hit spells it; for a handle that the hit lacks, as the entry spells it."""
    found = next((each for each in hit.artists if is_same_artist(name, each)), "") if hit is not None else ""
    return found or (entry.name if entry is not None and name.startswith("@") else name)
