"""Listeners' tags of an artist, from Last.fm: the second choice if Spotify has no genres."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from typing_extensions import override

from bot.adapters.http.json_service import JsonService, number_of, one_answer
from bot.adapters.http.session import TIMEOUT_S, excerpt, retry_time
from bot.domain.errors import CredentialsError, NetworkError, NetworkUnavailableError, RateLimitedError
from bot.domain.keys import loose_key
from bot.ports import ArtistEntry, LookupService
from bot.sections import LastfmSettings

URL = "https://ws.audioscrobbler.com"
ORIGIN = "last.fm"
_SERVICE = "Last.fm"
_INTERVAL_S = 0.2
"""Seconds between calls; Last.fm allows five a second."""
_MAX_TAGS = 5
_MIN_WEIGHT = 20
"""Minimum weight of a tag, where the artist's first tag has 100; tags of few listeners are often jokes."""
_UNKNOWN_ARTIST, _TOO_MANY = 6, 29
_KEY_ERRORS = frozenset({4, 10, 26})
# Frequent tags that do not describe the music.
_NO_GENRES = frozenset(
    map(loose_key, ("seen live", "favorites", "favourites", "favorite", "favourite", "albums i own", "love", "awesome"))
)


def open_lookup(section: LastfmSettings) -> LastfmLookup:
    """Open the lookup with its section of the settings."""
    return LastfmLookup(api_key=section.given("api_key"), base_url=section.base_url)


class LastfmLookup(LookupService):
    """Lookup of an artist's top tags.

    Args:
        api_key: key of an API account.
        base_url: address of Last.fm's API.
        timeout_s: seconds without a byte after which a call fails.
    """

    def __init__(self, *, api_key: str, base_url: str = URL, timeout_s: float = TIMEOUT_S) -> None:
        self._key = api_key
        self._service = JsonService(
            _SERVICE, base_url, contact="genres of artists", interval_s=_INTERVAL_S, timeout_s=timeout_s
        )

    @override
    def check(self) -> str:
        """Look a well-known artist up."""
        self.find("Cher")
        return "the key is valid"

    @override
    def find(self, artist: str) -> ArtistEntry | None:
        name = artist.removeprefix("@").strip()
        if not name:
            return None
        query: dict[str, str | int] = {"method": "artist.gettoptags", "artist": name, "autocorrect": 1}
        status, document, headers = self._service.get("/2.0/", {**query, "format": "json", "api_key": self._key})
        code = document.get("error")
        if code == _UNKNOWN_ARTIST:
            return None
        if code is not None or status >= 400:
            raise _error(code, excerpt(str(document.get("message") or status)), headers)
        top = document.get("toptags")
        if not isinstance(top, dict):
            raise NetworkUnavailableError("the answer is not one of Last.fm's; the bot will ask again")
        with one_answer(_SERVICE, artist, document):
            return _entry(top, name)


def _entry(top: Mapping[str, Any], name: str) -> ArtistEntry:
    given = top.get("@attr")
    spelled = str(given.get("artist") or name) if isinstance(given, dict) else name
    return ArtistEntry(name=spelled, genres=tuple(_genres(top, spelled))[:_MAX_TAGS], origin=ORIGIN)


def _genres(top: Mapping[str, Any], artist: str) -> Iterator[str]:
    """Names of the tags that count; a tag of an odd form is left out."""
    tags = top.get("tag") or ()
    for tag in [tags] if isinstance(tags, dict) else tags:  # a single tag is not in a list
        name = tag.get("name") if isinstance(tag, dict) else None
        if not isinstance(name, str) or not (genre := name.strip().lower()):
            continue
        key = loose_key(genre)
        if number_of(tag.get("count")) >= _MIN_WEIGHT and key not in _NO_GENRES and key != loose_key(artist):
            yield genre


def _error(code: Any, said: str, headers: Mapping[str, str]) -> NetworkError:
    words = f"Last.fm answered {code}: {said}"
    if code in _KEY_ERRORS:
        return CredentialsError(f"{words}; check the API key")
    if code == _TOO_MANY:
        return RateLimitedError(f"{words}; too many calls", retry_at=retry_time(headers))
    return NetworkUnavailableError(f"{words}; the bot will ask again")
