"""Genres from MusicBrainz, which takes one call a second from anybody who sends a contact."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from typing_extensions import override

from bot.adapters.http.json_service import Document, JsonService, number_of, one_answer
from bot.adapters.http.session import TIMEOUT_S, excerpt, status_error
from bot.domain.errors import NetworkUnavailableError
from bot.domain.matching import is_same_artist
from bot.ports import ArtistEntry, LookupService
from bot.sections import MusicbrainzSettings

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
        hit = next((one for one in hits if _is_hit(one) and is_same_artist(artist, one["name"])), None)
        if hit is None:
            return None
        # A search returns tags, which may be anything; only an artist's own page has the tags that are genres by vote.
        page = self._get(f"/ws/2/artist/{quote(hit['id'], safe='')}", {"inc": "genres"})
        with one_answer(_SERVICE, artist, page):
            genres = [one for one in page.get("genres") or [] if isinstance(one, dict) and _is_text(one.get("name"))]
            ranked = sorted(genres, key=lambda genre: -number_of(genre.get("count")))
            return ArtistEntry(
                name=hit["name"], genres=tuple(genre["name"] for genre in ranked)[:_MAX_GENRES], origin=ORIGIN
            )

    def _get(self, path: str, parameters: Mapping[str, str | int]) -> Document:
        status, document, headers = self._service.get(path, {**parameters, "fmt": "json"})
        if status == 404:
            return {}
        if status >= 400:
            raise status_error(_SERVICE, status, excerpt(str(document.get("error") or "")), headers)
        return document


def _is_hit(one: Any) -> bool:
    """Whether a hit can be used: MusicBrainz has sent null in place of one, and one without an id."""
    return isinstance(one, dict) and _is_text(one.get("id")) and _is_text(one.get("name"))


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value)
