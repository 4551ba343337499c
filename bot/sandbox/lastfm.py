"""Stand-in for Last.fm's artist.getTopTags: errors are numbers, whatever the HTTP status."""

from __future__ import annotations

import secrets
from collections.abc import Mapping

from starlette.requests import Request
from starlette.responses import Response
from typing_extensions import override

from bot.sandbox.answers import JSONResponse
from bot.sandbox.calls import Handler, LookupStandIn
from bot.sandbox.world import ARTISTS, OTHER_GENRES

_INVALID_METHOD, _INVALID_PARAMETERS, _OFFLINE, _INVALID_KEY, _TOO_MANY = 3, 6, 11, 10, 29
_NUMBERS = {400: _INVALID_PARAMETERS, 401: _INVALID_KEY, 403: _INVALID_KEY, 429: _TOO_MANY}


class LastfmStandIn(LookupStandIn):
    """Stand-in for Last.fm, with one API key."""

    name = "lastfm"

    def __init__(self, section: Mapping[str, str], *, enforce_limits: bool = True) -> None:
        del enforce_limits  # five calls a second, which no test reaches
        self._key = section["api_key"]
        self._tags = {
            artist.name.casefold(): (artist.name, OTHER_GENRES.get(artist.name, artist.genres or ()))
            for artist in ARTISTS
        }

    @classmethod
    @override
    def section(cls, url: str) -> dict[str, str]:
        return {"api_key": secrets.token_hex(16), "base_url": url}

    @override
    def operations(self) -> Mapping[str, tuple[str, str, Handler]]:
        return {"top_tags": ("GET", "/2.0/", self._top_tags)}

    def error(self, status: int, headers: Mapping[str, str] | None = None, message: str = "") -> Response:
        """Return an error by Last.fm's number."""
        number = _NUMBERS.get(status, _OFFLINE)
        document = {"error": number, "message": message or f"Error number {number}"}
        return JSONResponse(document, status, headers=dict(headers or {}))

    async def _top_tags(self, request: Request) -> Response:
        query = request.query_params
        if query.get("api_key") != self._key:
            return self.error(403, message="Invalid API key - You must be granted a valid key by last.fm")
        if query.get("method") != "artist.gettoptags" or query.get("format") != "json":
            return JSONResponse({"error": _INVALID_METHOD, "message": "Invalid Method"}, 400)
        found = self._tags.get(query.get("artist", "").casefold())
        if found is None:
            return JSONResponse(
                {"error": _INVALID_PARAMETERS, "message": "The artist you supplied could not be found", "links": []}
            )
        name, genres = found
        tags = [
            {"count": 100 - 10 * i, "name": genre, "url": f"https://www.last.fm/tag/{genre.replace(' ', '+')}"}
            for i, genre in enumerate((*genres, "seen live"))
        ]
        return JSONResponse({"toptags": {"tag": tags, "@attr": {"artist": name}}})
