"""Songs and artists on Spotify through spotipy.

A development app gets ten hits a search and one artist a call, and genres may be missing, null or empty. A search in
plain words always finds something, so a hit counts only if its artists and title fit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import requests
import spotipy
from spotipy.cache_handler import MemoryCacheHandler
from spotipy.oauth2 import SpotifyClientCredentials, SpotifyOauthError
from typing_extensions import override

from bot.adapters.http.session import TIMEOUT_S, NetworkSession, brief, excerpt, reading_error, status_error
from bot.domain.errors import CredentialsError, NetworkError, NetworkUnavailableError
from bot.domain.matching import fits, is_same_artist
from bot.domain.odd_items import ODD
from bot.domain.songs.song import Song
from bot.ports import ArtistEntry, LookupService, SongHit, SongLookup
from bot.sections import SpotifySettings

API_URL = "https://api.spotify.com/v1/"
TOKEN_URL = "https://accounts.spotify.com/api/token"  # noqa: S105 -- an address
ORIGIN = "spotify"
_SERVICE = "Spotify"
_HITS = 10
"""Maximum number of hits of a search."""
_MAX_ARTISTS = 3
"""Maximum number of a song's artists whose genres are looked up, a call each."""


def open_lookup(section: SpotifySettings) -> SpotifyLookup:
    """Open the lookup with its section of the settings."""
    return SpotifyLookup(
        client_id=section.given("client_id"),
        client_secret=section.given("client_secret"),
        base_url=section.base_url,
        token_url=section.token_url,
    )


class SpotifyLookup(SongLookup, LookupService):
    """Lookup with the credentials of an app, without a user.

    Args:
        client_id: id of the app, from Spotify's dashboard.
        client_secret: secret of the app.
        base_url: address of the API, including its version.
        token_url: address of the token service.
        timeout_s: seconds without a byte after which a call fails.
    """

    def __init__(
        self,
        *,
        client_id: str,
        client_secret: str,
        base_url: str = API_URL,
        token_url: str = TOKEN_URL,
        timeout_s: float = TIMEOUT_S,
    ) -> None:
        # Our own session: spotipy's would sleep for the time of Retry-After, which has been a day.
        session = NetworkSession(timeout_s=timeout_s)
        # In memory: the default writes the token into the working directory.
        self._token = MemoryCacheHandler()
        self._auth = SpotifyClientCredentials(
            client_id, client_secret, requests_session=session, requests_timeout=timeout_s, cache_handler=self._token
        )
        self._auth.OAUTH_TOKEN_URL = token_url
        self._client = spotipy.Spotify(auth_manager=self._auth, requests_session=session, requests_timeout=timeout_s)
        self._client.prefix = f"{base_url.rstrip('/')}/"

    @override
    def check(self) -> str:
        """Get a token with the app's credentials."""
        self._ask(lambda: {"token": self._auth.get_access_token(as_dict=False, check_cache=False)})
        return "the app may search"

    @override
    def find(self, artist: str) -> ArtistEntry | None:
        name = _term(artist)
        if not name:
            return None
        for hit in self._search(name, "artist"):
            if is_same_artist(artist, _name(hit)):
                return ArtistEntry(name=_name(hit), genres=_genres(hit), origin=ORIGIN)
        return None

    @override
    def find_song(self, song: Song) -> SongHit | None:
        """Find a song by a search in fields, and by a search in plain words if a name is spelled differently."""
        title, artist = _term(song.title), _term(song.cover_of or song.artists[0])
        if not title or not artist:
            return None
        for query in (f'track:"{title}" artist:"{artist}"', f"{artist} {title}"):
            for hit in self._search(query, "track"):
                listed = hit.get("artists")
                artists = [one for one in (listed if isinstance(listed, list) else ()) if _name(one)]
                if fits(song, list(map(_name, artists)), _name(hit)):
                    return self._song_hit(hit, artists)
        return None

    def _song_hit(self, hit: Mapping[str, Any], artists: Sequence[Mapping[str, Any]]) -> SongHit:
        genres: dict[str, None] = {}
        for artist in artists[:_MAX_ARTISTS]:
            identifier = artist.get("id")
            if isinstance(identifier, str) and identifier.isalnum():
                genres |= dict.fromkeys(_genres(self._ask(partial(self._client.artist, identifier))))
        urls = hit.get("external_urls")
        return SongHit(
            artists=tuple(map(_name, artists)),
            title=_name(hit),
            genres=tuple(genres),
            url=str(urls.get("spotify") or "") if isinstance(urls, dict) else "",
            origin=ORIGIN,
        )

    def _search(self, query: str, kind: str) -> Iterator[Mapping[str, Any]]:
        answer = self._ask(lambda: self._client.search(query, limit=_HITS, type=kind))
        listing = answer.get(f"{kind}s")
        if not isinstance(listing, dict):
            raise _unexpected_answer()
        items = listing.get("items")
        items = items if isinstance(items, list) else ()
        # Spotify puts null in place of a hit that it withholds.
        return (item for item in items if isinstance(item, dict))

    def _ask(self, call: Callable[[], Any]) -> Mapping[str, Any]:
        """The answer of a call, which is repeated with a new token if Spotify no longer accepts the old one.

        Raises:
            NetworkError: Spotify did not answer, or answered with an error.
        """
        had_token = self._token.get_cached_token() is not None
        try:
            return _answer(call)
        except CredentialsError:
            if not had_token:
                raise
        self._token.save_token_to_cache(None)
        return _answer(call)


def _answer(call: Callable[[], Any]) -> Mapping[str, Any]:
    try:
        answer = call()
    except spotipy.SpotifyException as error:
        if error.http_status == 404:
            return {}  # removed since the search
        raise status_error(_SERVICE, error.http_status, excerpt(str(error.msg)), error.headers or {}) from error
    except SpotifyOauthError as error:
        raise _token_error(error) from error
    except requests.RequestException as error:
        raise reading_error(_SERVICE, error) from error
    except ODD as error:
        # spotipy does not check the form of an answer.
        raise _unexpected_answer() from error
    # spotipy returns None for a body that is not JSON.
    if not isinstance(answer, dict):
        raise _unexpected_answer()
    return answer


def _token_error(error: SpotifyOauthError) -> NetworkError:
    cause = error.__context__
    status = cause.response.status_code if isinstance(cause, requests.HTTPError) else 400
    if status in {400, 401, 403}:
        return CredentialsError(f"Spotify does not issue a token: {brief(error)}; check the app's id and secret")
    headers = cause.response.headers if isinstance(cause, requests.HTTPError) else {}
    return status_error(_SERVICE, status, excerpt(str(error)), headers)


def _unexpected_answer() -> NetworkError:
    return NetworkUnavailableError("the answer is not one of Spotify's; the bot will ask again")


def _genres(artist: Mapping[str, Any]) -> tuple[str, ...]:
    genres = artist.get("genres")
    return tuple(genre for genre in (genres if isinstance(genres, list) else ()) if isinstance(genre, str) and genre)


def _name(hit: Any) -> str:
    """The name of a hit; empty for one of an odd form."""
    name = hit.get("name") if isinstance(hit, dict) else None
    return name if isinstance(name, str) else ""


def _term(text: str) -> str:
    """A name as part of a query, without quotation marks, which would end it."""
    return " ".join(text.removeprefix("@").replace('"', " ").split())[:100]
