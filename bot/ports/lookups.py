"""Lookups of songs and artists, records of earlier songs and posts, and checks of a text."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from datetime import datetime

from bot.domain.candidates import Flag
from bot.domain.songs.song import Song
from bot.domain.storable import make_storable


@dataclass(frozen=True, slots=True, kw_only=True)
class ArtistEntry:
    """Artist in a genre lookup."""

    name: str
    """The artist's name as the lookup spells it."""
    genres: tuple[str, ...]
    """Genres of the artist; empty if only the artist is known."""
    origin: str = "table"
    """Name of the lookup, such as "spotify"; "table" for a local catalog."""

    def __post_init__(self) -> None:
        make_storable(self, "name", "genres")


class GenreLookup(ABC):
    """Lookup of an artist's genres. Called from several threads at once."""

    @abstractmethod
    def find(self, artist: str) -> ArtistEntry | None:
        """Find an artist by name or handle; None if the artist is not known.

        Raises:
            NetworkError: the lookup does not answer.
        """


class LookupService(GenreLookup):
    """A genre lookup on the net."""

    @abstractmethod
    def check(self) -> str:
        """Make a call that changes nothing; a few words on the account, for people.

        Raises:
            NetworkError: the service does not answer, or refuses the account.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class SongHit:
    """Song in a lookup that matches the one that was searched for."""

    artists: tuple[str, ...]
    """Artists in the lookup's spelling."""
    title: str
    genres: tuple[str, ...] = ()
    url: str = ""
    """Web address of the recording."""
    origin: str = "spotify"

    def __post_init__(self) -> None:
        make_storable(self, "artists", "title", "genres", "url")


class SongLookup(ABC):
    """Lookup of songs. Called from several threads at once."""

    @abstractmethod
    def find_song(self, song: Song) -> SongHit | None:
        """Find a song whose artists and title fit; None if there is none.

        Raises:
            NetworkError: the lookup does not answer.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class SongFacts:
    """Facts about a song for a request for commentary."""

    artist: str
    """Artists on one line, in the spelling of the best lookup that knows them."""
    genres: tuple[str, ...] = ()
    """Genres; empty if no lookup knows any."""
    origin: str = ""
    """Name of the lookup that knew the genres; empty if none did."""
    url: str = ""
    namesakes: bool = False
    """Whether the genres were found by a name that several artists may have."""


class SongResolver(ABC):
    """Chain of all lookups, the best first. Called from several threads at once."""

    @abstractmethod
    def resolve(self, song: Song) -> SongFacts:
        """Return the known facts about a song; a lookup that fails is skipped without an error."""

    @abstractmethod
    def is_artist(self, name: str) -> bool:
        """Whether a name is an artist's, without a call outside, because the parser asks often."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CachedGenres:
    """Earlier answer of a lookup; `entry` is None if the artist was not known."""

    entry: ArtistEntry | None


class GenreCache(ABC):
    """Cache of the lookups' answers that outlasts restarts. Called from several threads at once."""

    @abstractmethod
    def get(self, artist_key: str) -> CachedGenres | None:
        """The answer for an artist; None if there is none or it has expired."""

    @abstractmethod
    def put(self, artist_key: str, entry: ArtistEntry | None, *, expires_at: datetime) -> None:
        """Keep an answer until an aware time."""


class PostHistory(ABC):
    """Record of posted texts that outlasts restarts. Called from several threads at once."""

    @abstractmethod
    def has_posted(self, text: str) -> bool:
        """Whether a text was or is being posted; texts are compared by `text_key`."""


class SongHistory(ABC):
    """Record of earlier songs that outlasts restarts. Called from several threads at once."""

    @abstractmethod
    def has_come(self, song: Song, *, since: datetime) -> bool:
        """Whether candidates for a song, by its `key`, were queued since an aware time."""


class Screen(ABC):
    """Checks of a text. Called from several threads at once."""

    @abstractmethod
    def flags(self, text: str) -> tuple[Flag, ...]:
        """Return the flags of a text in the order of `Flag`."""
