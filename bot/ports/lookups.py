"""What the bot asks about songs, artists and texts."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from datetime import datetime

from bot.domain.candidates import Flag
from bot.domain.songs.song import Song


@dataclass(frozen=True, slots=True, kw_only=True)
class ArtistEntry:
    """An artist that a genre lookup knows."""

    name: str
    """The artist's name as the lookup spells it."""
    genres: tuple[str, ...]
    """May be empty: the artist is known, the genres are not."""
    origin: str = "table"
    """Who knew: "spotify", "last.fm", "musicbrainz", "table"."""


class GenreLookup(ABC):
    """Which genres an artist has. Called from several threads at once."""

    @abstractmethod
    def find(self, artist: str) -> ArtistEntry | None:
        """The entry of an artist, given a name or a handle; None when it is not known.

        Raises:
            NetworkError: nobody can say at the moment; another lookup may.
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
    """A song that a lookup holds, checked to be the one that was asked for."""

    artists: tuple[str, ...]
    """As the lookup spells them."""
    title: str
    genres: tuple[str, ...] = ()
    url: str = ""
    """Where it can be heard."""
    origin: str = "spotify"


class SongLookup(ABC):
    """Which song a text means. Called from several threads at once."""

    @abstractmethod
    def find_song(self, song: Song) -> SongHit | None:
        """The song, when the lookup holds it and its artists and title fit those of the text.

        Raises:
            NetworkError: nobody can say at the moment.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class SongFacts:
    """What is known of a song when its commentary is asked for."""

    artist: str
    """The artists as one line, as the best informed lookup spells them."""
    genres: tuple[str, ...] = ()
    """Empty when nobody knows."""
    origin: str = ""
    """Who knew the genres; empty when nobody did."""
    url: str = ""


class SongResolver(ABC):
    """All lookups as one, the best first. Called from several threads at once."""

    @abstractmethod
    def resolve(self, song: Song) -> SongFacts:
        """What is known of a song; a lookup that fails is passed over, and nothing is raised for it."""

    @abstractmethod
    def is_artist(self, name: str) -> bool:
        """Whether a name is known to be an artist's, without asking anybody outside: the parser asks often."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CachedGenres:
    """What a lookup said earlier; `entry` is None when it did not know the artist."""

    entry: ArtistEntry | None


class GenreCache(ABC):
    """What lookups said earlier, over restarts. Called from several threads at once."""

    @abstractmethod
    def get(self, artist_key: str) -> CachedGenres | None:
        """What was said, unless it is too old; None when nothing was."""

    @abstractmethod
    def put(self, artist_key: str, entry: ArtistEntry | None, *, expires_at: datetime) -> None:
        """Keep what was said, until an aware time."""


class PostHistory(ABC):
    """What was posted, over restarts. Called from several threads at once."""

    @abstractmethod
    def has_posted(self, text: str) -> bool:
        """Whether a text was sent before, or is on its way; texts are compared by `text_key`."""


class SongHistory(ABC):
    """Which songs came before, over restarts. Called from several threads at once."""

    @abstractmethod
    def has_come(self, song: Song, *, since: datetime) -> bool:
        """Whether the queue got candidates for a song, by its `key`, since an aware time."""


class Screen(ABC):
    """What is to be noticed of a text. Called from several threads at once."""

    @abstractmethod
    def flags(self, text: str) -> tuple[Flag, ...]:
        """The flags of a text that might be posted, in the order of `Flag`."""
