"""Generator of the bundled sample: an invented world from one seed."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from types import MappingProxyType
from typing import Final

from training.files import atomic_path
from training.sample.feed import make_feed
from training.sample.world import Artist, Kind, Row, Writer, make_artists

DEFAULT_NUM_POSTS: Final = 4000
"""Posts of about 18,000 sentences, enough to learn topics and a small model in a minute or two."""
POSTS_FILE: Final = "posts.jsonl.gz"
CATALOG_FILE: Final = "catalog.jsonl.gz"
FEED_FILE: Final = "feed.jsonl"


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleWorld:
    """Invented world: posts about its songs, its artists' genres, and a feed of tweets."""

    posts: tuple[Row, ...]
    """Rows of id, artist, title, genres and text, with the dirt of scraped posts."""
    catalog: tuple[Row, ...]
    """Rows of artist and genres; a few artists are missing, as in every catalog."""
    feed: tuple[Row, ...]
    """Tweets: rows of id, text, author and created_at, oldest first."""
    kinds: Mapping[str, Kind]
    """True kind of each sentence, by its clean text with placeholders, as a corpus should hold it."""


def make_sample(*, seed: int, num_posts: int = DEFAULT_NUM_POSTS) -> SampleWorld:
    """Invent a world; the same arguments give the same world on any machine.

    Args:
        seed: seed of the world.
        num_posts: number of posts, including dirty ones (duplicates, round-ups, posts of one word).

    Raises:
        ValueError: `num_posts` is less than 1.
    """
    if num_posts < 1:
        raise ValueError(f"num_posts must be at least 1, got {num_posts}")
    random = Random(seed)
    artists = make_artists(random, num_artists=max(24, num_posts // 12))
    writer = Writer.new(random)
    posts: list[Row] = []
    for number in range(num_posts):
        posts.append(_post(writer, artists, posts, number=number, random=random))
    strangers = {artist.name for artist in artists[-2:]}
    catalog = tuple({"artist": a.name, "genres": list(a.genres)} for a in artists if a.name not in strangers)
    feed = make_feed(artists, strangers=strangers, random=random)
    return SampleWorld(posts=tuple(posts), catalog=catalog, feed=feed, kinds=MappingProxyType(writer.kinds))


def write_sample(world: SampleWorld, directory: Path) -> None:
    """Write posts, catalog and feed as files whose bytes depend only on the world.

    Raises:
        OutputError: the folder cannot be written to.
    """
    packed = {POSTS_FILE: _gzipped(world.posts), CATALOG_FILE: _gzipped(world.catalog), FEED_FILE: _lines(world.feed)}
    for name, content in packed.items():
        with atomic_path(directory / name) as partial:
            partial.write_bytes(content)


def _post(writer: Writer, artists: Sequence[Artist], earlier: list[Row], *, number: int, random: Random) -> Row:
    chance = random.random()
    if chance < 0.015 and earlier:
        return {**random.choice(earlier), "id": f"post-{number:05d}"}
    artist = random.choice(artists)
    if chance < 0.025:
        return _round_up(artists, number=number, random=random)
    title = random.choice(artist.titles)
    if chance < 0.035:
        return _short(artist, title, number=number, random=random)
    post = writer.post(artist, title, number=number)
    # Some posts were scraped without genres, which the catalog has.
    return {**post, "genres": []} if random.random() < 0.06 else post


def _round_up(artists: Sequence[Artist], *, number: int, random: Random) -> Row:
    picked = random.sample(artists, k=min(10, len(artists)))
    lines = [f'{place}. {artist.name} – "{artist.titles[0]}"' for place, artist in enumerate(picked, start=1)]
    title = random.choice(("Ten Songs for a Rainy Week", "Our Favorite Songs of the Month", "The Weekly Round-Up"))
    text = "\n".join(["Here is everything we could not stop playing this week.", *lines])
    return {"id": f"post-{number:05d}", "artist": None, "title": title, "genres": [], "text": text}


def _short(artist: Artist, title: str, *, number: int, random: Random) -> Row:
    text = random.choice(("Wow.", "New music!", "So good...", f'"{title}"!'))
    return {"id": f"post-{number:05d}", "artist": artist.name, "title": title, "genres": [], "text": text}


def _lines(rows: Iterable[Row]) -> bytes:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()


def _gzipped(rows: Iterable[Row]) -> bytes:
    # Without a time in the header, the bytes do not depend on when they are made.
    return gzip.compress(_lines(rows), compresslevel=6, mtime=0)
