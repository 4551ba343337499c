"""The invented music that the stand-ins know: artists with their genres and songs, and posts about them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class WorldArtist:
    """Somebody who makes music."""

    name: str
    genres: tuple[str, ...] | None
    """None: the network says nothing of genres, as Spotify often does."""
    songs: tuple[str, ...]
    popularity: int = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class WorldPost:
    """What somebody posts."""

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
"""What Last.fm and MusicBrainz say where Spotify is silent."""

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
