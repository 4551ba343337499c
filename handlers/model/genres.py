"""The genres a model knows, and how a genre it does not know is brought down to one it does."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from foundation.text_ngrams import spans


def normalise_genre(genre: str) -> str:
    """One spelling for a genre: case folded, single spaces.

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
    """Words of the longest label: no longer part of a name needs looking up, however long the name is."""

    def __post_init__(self) -> None:
        index = {normalise_genre(label): number for number, label in enumerate(self.labels, start=1)}
        if len(index) != len(self.labels):
            raise ValueError("genre labels must be distinct once case and spaces are normalised")
        object.__setattr__(self, "_index", index)
        object.__setattr__(self, "_max_words", max((len(label.split()) for label in index), default=0))

    def __len__(self) -> int:
        return len(self.labels)

    def back_off(self, genre: str) -> str | None:
        """The label for a genre: itself, else the longest part of its name that is a label, later words first.

        >>> GenreTable(labels=("indie pop", "pop")).back_off("Canadian Indie Pop")
        'indie pop'
        """
        return next(self._labels_within(genre), None)

    def coarser(self, label: str) -> str | None:
        """The longest part of a label's name that is a label too, later words first; None if none is.

        >>> GenreTable(labels=("indie pop", "pop", "indie")).coarser("indie pop")
        'pop'
        """
        own = normalise_genre(label)
        return next((found for found in self._labels_within(label) if normalise_genre(found) != own), None)

    def _labels_within(self, genre: str) -> Iterator[str]:
        """Labels that are parts of a genre's name, itself included: the longest first, then later words first."""
        for span in spans(normalise_genre(genre).split(), self._max_words):
            part = " ".join(span)
            if part in self._index:
                yield self.labels[self._index[part] - 1]

    def resolve(self, genres: Iterable[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Split genres into the labels they map to (distinct, in order) and those that map to none."""
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
        """Embedding indices of labels.

        Raises:
            KeyError: for a genre that is not a label; `resolve` it first.
        """
        return [self._index[normalise_genre(label)] for label in labels]
