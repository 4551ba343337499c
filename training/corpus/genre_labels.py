"""Choice of genre labels: frequent genres, and coarser genres to which rarer ones add up."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from typing import Final

from handlers.model.genres import GenreTable

Combinations = Callable[[], Iterable[tuple[tuple[str, ...], int]]]
"""Function that returns combinations of genres with their numbers of posts; a combination may occur repeatedly."""

_BRACKETS: Final = re.compile(r"\s*\([^()]*\)")
_JOINED: Final = re.compile(r" (?:&|and) |/|, ")


def common_genres(posts: Iterable[tuple[tuple[str, ...], int]], *, min_posts: int) -> frozenset[str]:
    """Return the genres of at least `min_posts` posts."""
    counts: Counter[str] = Counter()
    for genres, count in posts:
        counts.update(dict.fromkeys(genres, count))
    return frozenset(genre for genre, count in counts.items() if count >= min_posts)


def translate(genres: tuple[str, ...], known: frozenset[str], common: frozenset[str]) -> tuple[str, ...]:
    """Translate labels of another genre space; a shop's departments and tags for sounds have no translation.

    Args:
        genres: labels of the other space.
        known: genres that a whole label may be.
        common: genres that a label's last words may be: "tape noise" is not "noise", which only few posts have.

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

    A genre of fewer than `min_posts` posts is not a label. Its posts count for the longest part of its name that is
    itself a genre of some post ("coastal dream pop" -> "dream pop" -> "pop"), which may become a label that way. The
    posts are read once for every length of a genre's name and once more; memory holds the genres, not their
    combinations.

    Args:
        posts: combinations of normalised genres.
        min_posts: posts that a label needs, including those of finer genres that back off to it.
        max_labels: maximum number of labels; the most frequent are kept.

    Returns:
        The labels, most frequent first; equally frequent ones in alphabetical order.
    """
    label_of: dict[str, str | None] = {genre: genre for genres, _ in posts() for genre in genres}
    labels = set(label_of)
    # A rare label's genres move to shorter labels only. So all labels of a length are decided at once, longest first,
    # with the posts that they will have.
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
    """Count the posts of each label; a post of two genres with the same label counts once."""
    counts: defaultdict[str, int] = defaultdict(int)
    for genres, count in posts():
        for label in {label_of[genre] for genre in genres} - {None}:
            counts[str(label)] += count
    return counts


def _parts(genre: str) -> Iterator[str]:
    """Yield shorter runs of a genre's words in the order in which `GenreTable.back_off` tries them."""
    words = genre.split()
    for length in range(len(words) - 1, 0, -1):
        for start in range(len(words) - length, -1, -1):
            yield " ".join(words[start : start + length])
