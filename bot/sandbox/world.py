"""Invented music of the stand-ins: artists with their genres and songs, and posts about them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class WorldArtist:
    """An artist."""

    name: str
    genres: tuple[str, ...] | None
    """Genres by Spotify; None if its answer has no genres, as is often the case."""
    songs: tuple[str, ...]
    popularity: int = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class WorldPost:
    """A post of a user."""

    author: str
    text: str


ARTISTS = (
    WorldArtist(name="Ona Vell", genres=("dream pop", "slowcore"), songs=("Slow Lamp", "Moss", "Paper Harbour")),
    WorldArtist(name="Tor Brisk", genres=("techno",), songs=("Tin Sea", "Night Ferry", "Overpass")),
    WorldArtist(name="The Mica Dunes", genres=("surf rock", "indie rock"), songs=("Salt Clock", "Low Sun")),
    WorldArtist(name="Rye & Anchor", genres=("folk",), songs=("Wet Rope", "Two Doors Down")),
    WorldArtist(name="Ólöf Brandt", genres=(), songs=("Glass Weather",)),
    WorldArtist(name="Pell", genres=None, songs=("Iron Fern", "Moss")),
)

OTHER_GENRES = {"Ólöf Brandt": ("ambient", "modern classical"), "Pell": ("shoegaze",)}
"""Genres by Last.fm and MusicBrainz of artists without genres on Spotify."""

POSTS = (
    WorldPost(author="slowradio", text="Listen to Ona Vell’s “Slow Lamp” [ft. Tor Brisk] https://example.org/a"),
    WorldPost(author="greymorning", text="What a grey morning & no music to go with it."),
    WorldPost(
        author="threesongs",
        text="Three for the road:\n1. “Tin Sea” by Tor Brisk\n2. “Moss” by Ona Vell\n3. “Wet Rope” by Rye & Anchor",
    ),
    WorldPost(author="slowradio", text="Now playing: The Mica Dunes - Salt Clock (Tor Brisk Remix)"),
    WorldPost(author="iceradio", text="Ólöf Brandt - “Glass Weather” https://example.org/glass"),
    WorldPost(author="fuzzboard", text="New music: Pell – Iron Fern https://example.org/fern?from=feed"),
)

MENTIONS = (WorldPost(author="curious", text="@sandboxbot what do you make of “Night Ferry” by Tor Brisk?"),)
