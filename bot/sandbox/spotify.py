"""Stand-in for Spotify as a development app of 2026 sees it: app token, search with a limit of 10, single artists.

The batch endpoint is closed (403), genres may be missing or empty, and a search in plain words always finds
something, however far from the query.
"""

from __future__ import annotations

import base64
import hashlib
import re
import secrets
import time
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import parse_qs

from starlette.requests import Request
from starlette.responses import Response
from typing_extensions import override

from bot.sandbox.answers import JSONResponse
from bot.sandbox.calls import Handler, LookupStandIn
from bot.sandbox.world import ARTISTS, WorldArtist

TOKEN_S = 3600
_MAX_LIMIT = 10
_MESSAGES = {400: "Bad request", 401: "The access token expired", 403: "Forbidden", 404: "Resource not found"}
_FIELD = re.compile(r'(\w+):(?:"([^"]*)"|(\S+))')


class SpotifyStandIn(LookupStandIn):
    """Stand-in for Spotify, with one app."""

    name = "spotify"

    def __init__(
        self, section: Mapping[str, str], *, enforce_limits: bool = True, artists: Sequence[WorldArtist] = ARTISTS
    ) -> None:
        del enforce_limits  # Spotify does not publish any
        self._section = section
        self._url = section["base_url"].rstrip("/")
        self._artists = {_identifier(artist.name): artist for artist in artists}
        self._tokens: dict[str, float] = {}

    @classmethod
    @override
    def section(cls, url: str) -> dict[str, str]:
        return {
            "client_id": secrets.token_hex(16),
            "client_secret": secrets.token_hex(16),
            "base_url": f"{url}/v1/",
            "token_url": f"{url}/api/token",
        }

    @override
    def operations(self) -> Mapping[str, tuple[str, str, Handler]]:
        return {
            "token": ("POST", "/api/token", self._token),
            "search": ("GET", "/v1/search", self._guarded(self._search)),
            "artist": ("GET", "/v1/artists/{id}", self._guarded(self._artist)),
            "artists": ("GET", "/v1/artists", self._guarded(self._batch)),
        }

    def error(self, status: int, headers: Mapping[str, str] | None = None, message: str = "") -> Response:
        """Return Spotify's error object."""
        document = {"error": {"status": status, "message": message or _MESSAGES.get(status, "Service unavailable")}}
        return JSONResponse(document, status, headers=dict(headers or {}))

    @override
    def forget_tokens(self) -> None:
        self._tokens.clear()

    async def _token(self, request: Request) -> Response:
        form = parse_qs((await request.body()).decode())
        if form.get("grant_type") != ["client_credentials"]:
            return JSONResponse({"error": "unsupported_grant_type"}, 400)
        pair = f"{self._section['client_id']}:{self._section['client_secret']}"
        expected = f"Basic {base64.b64encode(pair.encode()).decode()}"
        if not secrets.compare_digest(request.headers.get("authorization", ""), expected):
            return JSONResponse({"error": "invalid_client", "error_description": "Invalid client secret"}, 400)
        token = secrets.token_urlsafe(32)
        self._tokens[token] = time.time() + TOKEN_S
        return JSONResponse({"access_token": token, "token_type": "Bearer", "expires_in": TOKEN_S})

    def _guarded(self, handler: Handler) -> Handler:
        async def guarded(request: Request) -> Response:
            token = request.headers.get("authorization", "").removeprefix("Bearer ")
            if self._tokens.get(token, 0.0) <= time.time():
                return self.error(401)
            return await handler(request)

        return guarded

    async def _search(self, request: Request) -> Response:
        query = request.query_params
        kinds = query.get("type", "").split(",")
        limit, offset = query.get("limit", "5"), query.get("offset", "0")
        if not query.get("q", "").strip():
            return self.error(400, message="No search query")
        if not set(kinds) <= {"track", "artist"}:
            return self.error(400, message="Bad search type field")
        if not (limit.isdigit() and 1 <= int(limit) <= _MAX_LIMIT) or not offset.isdigit():
            return self.error(400, message="Invalid limit")
        finders: dict[str, Callable[[str], list[dict[str, Any]]]] = {"track": self._tracks, "artist": self._named}
        return JSONResponse(
            {
                f"{kind}s": self._paging(str(request.url), finders[kind](query["q"]), int(limit), int(offset))
                for kind in kinds
            }
        )

    async def _artist(self, request: Request) -> Response:
        artist = self._artists.get(request.path_params["id"])
        return self.error(404) if artist is None else JSONResponse(self._artist_document(artist))

    async def _batch(self, request: Request) -> Response:  # noqa: ARG002 -- a handler's signature
        return self.error(403)

    def _tracks(self, query: str) -> list[dict[str, Any]]:
        pairs = [
            (artist, song)
            for artist in self._artists.values()
            for song in artist.songs
            if _is_within("artist", query, artist.name) and _is_within("track", query, song)
        ]
        ranked = sorted(pairs, key=lambda pair: -_overlap(query, f"{pair[0].name} {pair[1]}"))
        return [self._track_document(artist, song) for artist, song in ranked]

    def _named(self, query: str) -> list[dict[str, Any]]:
        ranked = sorted(self._artists.values(), key=lambda artist: -_overlap(query, artist.name))
        return [self._artist_document(artist) for artist in ranked]

    def _paging(self, href: str, items: list[dict[str, Any]], limit: int, offset: int) -> dict[str, Any]:
        return {
            "href": href,
            "items": items[offset : offset + limit],
            "limit": limit,
            "next": None,
            "offset": offset,
            "previous": None,
            "total": len(items),
        }

    def _artist_document(self, artist: WorldArtist) -> dict[str, Any]:
        document = self._reference("artist", artist.name) | {
            "followers": {"href": None, "total": artist.popularity * 100},
            "images": [],
            "popularity": artist.popularity,
        }
        return document if artist.genres is None else document | {"genres": list(artist.genres)}

    def _track_document(self, artist: WorldArtist, song: str) -> dict[str, Any]:
        artists = [self._reference("artist", artist.name)]
        album = self._reference("album", f"{artist.name}: {song}") | {
            "name": song,
            "album_type": "single",
            "artists": artists,
            "available_markets": ["DE", "US"],
            "images": [],
            "release_date": "2026-01-01",
            "release_date_precision": "day",
            "total_tracks": 1,
        }
        return self._reference("track", f"{artist.name} - {song}") | {
            "name": song,
            "album": album,
            "artists": artists,
            "available_markets": ["DE", "US"],
            "disc_number": 1,
            "duration_ms": 201_000,
            "explicit": False,
            "external_ids": {},
            "is_local": False,
            "is_playable": True,
            "popularity": artist.popularity,
            "preview_url": None,
            "track_number": 1,
        }

    def _reference(self, kind: str, name: str) -> dict[str, Any]:
        identifier = _identifier(name)
        return {
            "external_urls": {"spotify": f"https://open.spotify.com/{kind}/{identifier}"},
            "href": f"{self._url}/{kind}s/{identifier}",
            "id": identifier,
            "name": name,
            "type": kind,
            "uri": f"spotify:{kind}:{identifier}",
        }


def _identifier(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()[:22]


def _words(text: str) -> set[str]:
    plain = unicodedata.normalize("NFKD", text.casefold())
    return set(re.findall(r"\w+", "".join(c for c in plain if not unicodedata.combining(c))))


def _is_within(field: str, query: str, name: str) -> bool:
    """Whether a name contains all words of the query for this field."""
    wanted = [found[2] or found[3] for found in _FIELD.finditer(query) if found[1] == field]
    return all(_words(text) <= _words(name) for text in wanted)


def _overlap(query: str, name: str) -> float:
    """Return the share of common words, 0 to 1."""
    asked = _words(_FIELD.sub(lambda found: f" {found[2] or found[3] or ''} ", query))
    known = _words(name)
    return len(asked & known) / max(1, len(asked | known))
