"""Genres from MusicBrainz, which takes one call a second from anybody who sends a contact."""

from __future__ import annotations

import re
from collections.abc import Mapping

from typing_extensions import override

from bot.adapters.http.json_service import Document, JsonService
from bot.adapters.http.session import TIMEOUT_S, excerpt, status_error
from bot.domain.errors import NetworkUnavailableError
from bot.domain.matching import is_same_artist
from bot.ports import ArtistEntry, LookupService
from bot.settings import MusicbrainzSettings

URL = "https://musicbrainz.org"
ORIGIN = "musicbrainz"
_SERVICE = "MusicBrainz"
_INTERVAL_S = 1.05
_HITS = 5
_MAX_GENRES = 5
_SPECIAL = re.compile(r'["\\]')


def open_lookup(section: MusicbrainzSettings) -> MusicbrainzLookup:
    """Open the lookup with its section of the settings."""
    return MusicbrainzLookup(contact=section.given("contact"), base_url=section.base_url)


class MusicbrainzLookup(LookupService):
    """Lookup of an artist's genres, ordered by votes.

    Args:
        contact: address or web page of the operator.
        base_url: address of MusicBrainz.
        timeout_s: seconds without a byte after which a call fails.
        interval_s: seconds from one call to the next; a mirror may allow more.
    """

    def __init__(
        self, *, contact: str, base_url: str = URL, timeout_s: float = TIMEOUT_S, interval_s: float = _INTERVAL_S
    ) -> None:
        self._service = JsonService(
            _SERVICE, base_url, contact=contact, interval_s=interval_s, timeout_s=timeout_s, too_many=503
        )

    @override
    def check(self) -> str:
        """Look a well-known artist up."""
        self.find("Cher")
        return "answers"

    @override
    def find(self, artist: str) -> ArtistEntry | None:
        name = _SPECIAL.sub(" ", artist.removeprefix("@")).strip()
        if not name:
            return None
        hits = self._get("/ws/2/artist", {"query": f'artist:"{name}"', "limit": _HITS}).get("artists")
        if not isinstance(hits, list):
            raise NetworkUnavailableError("the answer is not one of MusicBrainz's")
        hit = next((one for one in hits if is_same_artist(artist, str(one.get("name", "")))), None)
        if hit is None:
            return None
        # A search returns tags, which may be anything; only an artist's own page has the tags that are genres by vote.
        genres = self._get(f"/ws/2/artist/{hit['id']}", {"inc": "genres"}).get("genres") or []
        ranked = sorted(genres, key=lambda genre: -int(genre.get("count") or 0))
        return ArtistEntry(
            name=str(hit["name"]),
            genres=tuple(str(genre["name"]) for genre in ranked if genre.get("name"))[:_MAX_GENRES],
            origin=ORIGIN,
        )

    def _get(self, path: str, parameters: Mapping[str, str | int]) -> Document:
        status, document, headers = self._service.get(path, {**parameters, "fmt": "json"})
        if status == 404:
            return {}
        if status >= 400:
            raise status_error(_SERVICE, status, excerpt(str(document.get("error") or "")), headers)
        return document
