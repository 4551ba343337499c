"""Which genres become labels: frequent ones, and those that rarer genres add up to."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from typing import Final

from handlers.model.genres import GenreTable

Combinations = Callable[[], Iterable[tuple[tuple[str, ...], int]]]
"""Gives, whenever it is called, combinations of genres with how many posts have each; one may come several times."""

_BRACKETS: Final = re.compile(r"\s*\([^()]*\)")
_JOINED: Final = re.compile(r" (?:&|and) |/|, ")


def common_genres(posts: Iterable[tuple[tuple[str, ...], int]], *, min_posts: int) -> frozenset[str]:
    """Genres of at least that many posts."""
    counts: Counter[str] = Counter()
    for genres, count in posts:
        counts.update(dict.fromkeys(genres, count))
    return frozenset(genre for genre, count in counts.items() if count >= min_posts)


def translate(genres: tuple[str, ...], known: frozenset[str], common: frozenset[str]) -> tuple[str, ...]:
    """The genres that another space's labels stand for; a shop's departments and tags for sounds give none.

    Args:
        genres: labels of the other space.
        known: what a label may be.
        common: what its last words may be: "tape noise" is no "noise", though there are a few posts of that genre.

    >>> common = frozenset(["hip hop", "folk"])
    >>> labels = ("rap & hip-hop", "classic folk (uk)", "tape noise", "dubs", "coast")
    >>> translate(labels, common | {"dub", "noise"}, common)
    ('hip hop', 'folk', 'dub')
    """
    found: dict[str, None] = {}
    for genre in genres:
        bare = _BRACKETS.sub("", genre)
        for name in (bare,) if bare in known else _JOINED.split(bare):
            words = name.replace("-", " ").split()
            wholes = _singular(name, " ".join(words))
            tails = _singular(*(" ".join(words[start:]) for start in range(1, len(words))))
            match = next((form for form in wholes if form in known), None)
            match = match or next((form for form in tails if form in common), None)
            if match:
                found[match] = None
    return tuple(found)


def _singular(*names: str) -> Iterator[str]:
    for name in names:
        yield from (name, name.removesuffix("s"))


def choose_labels(posts: Combinations, *, min_posts: int, max_labels: int) -> GenreTable:
    """Choose labels from the genres of posts.

    A genre of fewer than `min_posts` posts is not a label; its posts count for the longest part of its name that is
    itself a genre of some post ("coastal dream pop" -> "dream pop" -> "pop"), which may become a label that way.
    Reads the posts once for every length of a genre's name and once more; keeps the genres, not their combinations.

    Args:
        posts: combinations of genres, the genres normalised.
        min_posts: posts that a label needs, those of finer genres that back off to it included.
        max_labels: the most frequent labels are kept.

    Returns:
        The labels, most frequent first; equally frequent ones in alphabetical order.
    """
    label_of: dict[str, str | None] = {genre: genre for genres, _ in posts() for genre in genres}
    labels = set(label_of)
    # A rare label's genres go to shorter labels only, so whole lengths can be decided at once, longest first, and each
    # decision sees the posts that it will have.
    for length in sorted({len(label.split()) for label in labels}, reverse=True):
        counts = _counts(posts, label_of)
        labels -= {label for label in labels if len(label.split()) == length and counts[label] < min_posts}
        for genre, label in label_of.items():
            if label is not None and label not in labels:
                label_of[genre] = next((part for part in _parts(genre) if part in labels), None)
    counts = _counts(posts, label_of)
    ranked = sorted(labels, key=lambda label: (-counts[label], label))
    return GenreTable(labels=tuple(ranked[:max_labels]))


def _counts(posts: Combinations, label_of: dict[str, str | None]) -> defaultdict[str, int]:
    """Posts of each label; a post of two genres that stand for the same counts once."""
    counts: defaultdict[str, int] = defaultdict(int)
    for genres, count in posts():
        for label in {label_of[genre] for genre in genres} - {None}:
            counts[str(label)] += count
    return counts


def _parts(genre: str) -> Iterator[str]:
    """Shorter runs of a genre's words in the order in which `GenreTable.back_off` tries them."""
    words = genre.split()
    for length in range(len(words) - 1, 0, -1):
        for start in range(len(words) - length, -1, -1):
            yield " ".join(words[start : start + length])
