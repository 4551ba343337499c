"""Which genres become labels: frequent ones, and those that rarer genres add up to."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping

from handlers.genres import GenreTable


def choose_labels(posts: Mapping[tuple[str, ...], int], *, min_posts: int, max_labels: int) -> GenreTable:
    """Choose labels from the genres of posts.

    A genre of fewer than `min_posts` posts is not a label; its posts count for the longest part of its name that is
    itself a genre of some post ("coastal dream pop" -> "dream pop" -> "pop"), which may become a label that way.

    Args:
        posts: how many posts have each combination of genres, the genres normalised.
        min_posts: posts that a label needs, those of finer genres that back off to it included.
        max_labels: the most frequent labels are kept.

    Returns:
        The labels, most frequent first; equally frequent ones in alphabetical order.
    """
    posts_of: defaultdict[str, set[int]] = defaultdict(set)
    weights = list(posts.values())
    for number, genres in enumerate(posts):
        for genre in genres:
            posts_of[genre].add(number)

    # Which genres each label stands for. A rare label's genres go to shorter labels only, so whole lengths can be
    # decided at once, longest first, and each decision sees the posts that it will have.
    stands_for = {genre: {genre} for genre in posts_of}

    def count(label: str) -> int:
        return sum(weights[number] for number in set[int]().union(*(posts_of[genre] for genre in stands_for[label])))

    for length in sorted({len(label.split()) for label in stands_for}, reverse=True):
        rare = [label for label in stands_for if len(label.split()) == length and count(label) < min_posts]
        homeless = sorted(genre for label in rare for genre in stands_for.pop(label))
        for genre in homeless:
            coarser = next((part for part in _parts(genre) if part in stands_for), None)
            if coarser is not None:
                stands_for[coarser].add(genre)
    ranked = sorted(stands_for, key=lambda label: (-count(label), label))
    return GenreTable(labels=tuple(ranked[:max_labels]))


def _parts(genre: str) -> Iterator[str]:
    """Shorter runs of a genre's words in the order in which `GenreTable.back_off` tries them."""
    words = genre.split()
    for length in range(len(words) - 1, 0, -1):
        for start in range(len(words) - length, -1, -1):
            yield " ".join(words[start : start + length])
