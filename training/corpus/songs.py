"""Songs of posts: the key of a post's song, the song's split, and posts that list several songs."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from typing import Final

from training.corpus.posts import Post

SPLITS: Final = ("train", "valid", "test")

_LIST_LINE: Final = re.compile(r"^\s*(?:\d{1,3}[.)]|[-*•])\s+\S+.*\s[–—-]\s", re.MULTILINE)
_ROUND_UP: Final = re.compile(
    r"\b(?:round-?up|top \d+|\d+ (?:best|songs|tracks|albums)|(?:ten|five|twenty) (?:best )?songs|"
    r"of the (?:week|month)|new music (?:friday|monday)|playlist)\b",
    re.IGNORECASE,
)
_LISTED_SONGS: Final = 4
"""Minimum lines of the form "artist - title" that make a post a round-up."""


def is_round_up(post: Post) -> bool:
    """Whether a post is a list of songs, by its lines, or by its title if it names no artist."""
    if len(_LIST_LINE.findall(post.text)) >= _LISTED_SONGS:
        return True
    return post.artist is None and post.title is not None and _ROUND_UP.search(post.title) is not None


def song_key(post: Post) -> str:
    """Key that posts about the same song or album share: its title without case, marks, guests and editions.

    The key leaves out the artist, which not every source names: an album in two splits is worse than two songs of the
    same title in one. Without a title the key is the artist, without either the post's id.
    """
    title, artist = _bare(post.title or ""), _bare(post.artist or "")
    if title:
        return f"title\x1f{title}"
    return f"artist\x1f{artist}" if artist else f"post\x1f{post.id}"


def choose_split(key: str, *, valid_share: float, test_share: float) -> str:
    """Choose a song's split by a hash of its key, so that added posts do not move other songs."""
    place = int.from_bytes(hashlib.sha256(key.encode()).digest()[:8]) / 2**64
    if place < valid_share:
        return "valid"
    return "test" if place < valid_share + test_share else "train"


def _bare(name: str) -> str:
    name = re.sub(r"[(\[].*?[)\]]|\b(?:ft|feat|featuring)\b.*$", " ", name.casefold())
    decomposed = unicodedata.normalize("NFKD", name)
    return " ".join(re.findall(r"[^\W_]+", "".join(c for c in decomposed if not unicodedata.combining(c))))
