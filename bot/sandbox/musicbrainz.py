"""Stand-in for MusicBrainz: search and genres of artists; requests without a contact, or too fast, are refused."""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from typing_extensions import override

from bot.sandbox.answers import JSONResponse
from bot.sandbox.calls import Handler, LookupStandIn
from bot.sandbox.limits import RateWindow
from bot.sandbox.world import ARTISTS, OTHER_GENRES, WorldArtist

_QUERY = re.compile(r'^artist:"([^"\\]+)"$')
_AGENT = re.compile(r"^\S+/\S+ \(.+\)$")
_LIMIT_TEXT = "Your requests are exceeding the allowable rate limit."


class MusicbrainzStandIn(LookupStandIn):
    """Stand-in for MusicBrainz, which does not need an account."""

    name = "musicbrainz"

    def __init__(self, section: Mapping[str, str], *, enforce_limits: bool = True) -> None:
        del section  # it takes any contact
        self._artists = {_identifier(artist): artist for artist in ARTISTS}
        self._window = RateWindow(1, 1.0, enforce_limits)

    @classmethod
    @override
    def section(cls, url: str) -> dict[str, str]:
        return {"contact": "sandbox@example.org", "base_url": url}

    @override
    def operations(self) -> Mapping[str, tuple[str, str, Handler]]:
        return {
            "search": ("GET", "/ws/2/artist", self._guarded(self._search)),
            "artist": ("GET", "/ws/2/artist/{id}", self._guarded(self._artist)),
        }

    def error(self, status: int, headers: Mapping[str, str] | None = None, message: str = "") -> Response:
        """Return an error with a message."""
        help_page = "For usage, please see: https://musicbrainz.org/development/mmd"
        document = {"error": message or _LIMIT_TEXT, "help": help_page}
        return JSONResponse(document, status, headers=dict(headers or {}))

    def _guarded(self, handler: Handler) -> Handler:
        async def guarded(request: Request) -> Response:
            if not _AGENT.match(request.headers.get("user-agent", "")):
                return self.error(403, message="say who you are: name/version (contact)")
            if not self._window.take():
                return self.error(503, {"retry-after": "1"})
            if request.query_params.get("fmt") != "json":
                return self.error(406, message="the stand-in speaks JSON alone")
            return await handler(request)

        return guarded

    async def _search(self, request: Request) -> Response:
        query = _QUERY.match(request.query_params.get("query", ""))
        if query is None:
            return self.error(400, message="Search failed")
        asked = set(query[1].casefold().split())
        found = [artist for artist in self._artists.values() if asked & set(artist.name.casefold().split())]
        artists = [{**_reference(artist), "score": 100} for artist in found]
        document = {"created": "2026-01-01T00:00:00.000Z", "count": len(artists), "offset": 0, "artists": artists}
        return JSONResponse(document)

    async def _artist(self, request: Request) -> Response:
        artist = self._artists.get(request.path_params["id"])
        if artist is None:
            return self.error(404, message="Not Found")
        genres = OTHER_GENRES.get(artist.name, artist.genres or ())
        voted = [{"id": str(uuid.uuid5(uuid.NAMESPACE_DNS, genre)), "name": genre} for genre in genres]
        # Alphabetical, as MusicBrainz lists them: clients have to sort by votes.
        listed = sorted(
            ({**genre, "count": len(voted) - i, "disambiguation": ""} for i, genre in enumerate(voted)), key=_name
        )
        return JSONResponse({**_reference(artist), "genres": listed})


def _name(document: Mapping[str, Any]) -> str:
    return str(document["name"])


def _identifier(artist: WorldArtist) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_URL, artist.name))


def _reference(artist: WorldArtist) -> dict[str, Any]:
    return {"id": _identifier(artist), "name": artist.name, "sort-name": artist.name, "type": "Group"}
