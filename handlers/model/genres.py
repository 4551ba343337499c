"""Genre labels of a model, and the back-off from other genres to them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from foundation.text_ngrams import spans


def normalise_genre(genre: str) -> str:
    """Return a genre in its normal spelling: case folded, single spaces.

    >>> normalise_genre("  Dream   Pop ")
    'dream pop'
    """
    return " ".join(genre.casefold().split())


@dataclass(frozen=True, slots=True, kw_only=True)
class GenreTable:
    """Genre labels in the order of the model's genre embedding.

    Index 0 of the embedding is "no genre"; label i has index i + 1.
    """

    labels: tuple[str, ...]
    _index: dict[str, int] = field(init=False, repr=False, compare=False)
    _max_words: int = field(init=False, repr=False, compare=False)
    """Number of words of the longest label, and so of the longest part of a name that needs a look-up."""

    def __post_init__(self) -> None:
        index = {normalise_genre(label): number for number, label in enumerate(self.labels, start=1)}
        if len(index) != len(self.labels):
            raise ValueError("genre labels must be distinct once case and spaces are normalised")
        object.__setattr__(self, "_index", index)
        object.__setattr__(self, "_max_words", max((len(label.split()) for label in index), default=0))

    def __len__(self) -> int:
        return len(self.labels)

    def back_off(self, genre: str) -> str | None:
        """Return the label of a genre: itself, else the longest part of its name that is a label, later words first.

        >>> GenreTable(labels=("indie pop", "pop")).back_off("Canadian Indie Pop")
        'indie pop'
        """
        return next(self._labels_within(genre), None)

    def coarser(self, label: str) -> str | None:
        """Return the longest part of a label's name that is another label, later words first; else None.

        >>> GenreTable(labels=("indie pop", "pop", "indie")).coarser("indie pop")
        'pop'
        """
        own = normalise_genre(label)
        return next((found for found in self._labels_within(label) if normalise_genre(found) != own), None)

    def _labels_within(self, genre: str) -> Iterator[str]:
        """Yield the labels that are parts of a genre's name, or all of it: longest first, then later words first."""
        for span in spans(normalise_genre(genre).split(), self._max_words):
            part = " ".join(span)
            if part in self._index:
                yield self.labels[self._index[part] - 1]

    def resolve(self, genres: Iterable[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Split genres into the labels they map to (distinct, in order) and those that map to no label."""
        used: dict[str, None] = {}
        unknown: dict[str, None] = {}
        for genre in genres:
            label = self.back_off(genre)
            if label is None:
                unknown[genre] = None
            else:
                used[label] = None
        return tuple(used), tuple(unknown)

    def indices(self, labels: Iterable[str]) -> list[int]:
        """Return the embedding indices of labels.

        Raises:
            KeyError: a genre is not a label; `resolve` it first.
        """
        return [self._index[normalise_genre(label)] for label in labels]
