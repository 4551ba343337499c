"""Nearest known genre ("label") for a genre that the model does not know.

Three methods, the most accurate first. `deephypebot bot bench genres` measures them: the share of a genre's artists who
have the label that was found, on held-out artists.

1. company: the label that most artists of the genre have as well, by a table of artists;
2. words: the longest part of the genre's name that is a label ("canadian indie pop" -> "indie pop");
3. place: the nearest label on a map of genres.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from foundation.text_ngrams import spans

MAX_WORDS = 12
"""Maximum words of a genre's name that are compared."""


class Way(StrEnum):
    """Method by which a label was found."""

    ITSELF = "itself"
    COMPANY = "company"
    WORDS = "words"
    PLACE = "place"


@dataclass(frozen=True, slots=True, kw_only=True)
class Near:
    """A label and the method that found it."""

    label: str
    way: Way


Place = tuple[float, ...]
"""Coordinates on a map of genres, all of one scale."""


class NearestGenre:
    """Index that finds labels for genres.

    Args:
        labels: genres that the model knows.
        artists: genres of each artist, for the method "company".
        places: map of genres, for the method "place".
    """

    def __init__(
        self,
        labels: Sequence[str],
        *,
        artists: Iterable[Sequence[str]] = (),
        places: Mapping[str, Place] | None = None,
    ) -> None:
        self._labels = {_plain(label): label for label in labels}
        self._company = self._most_common(artists)
        self._places = {_plain(genre): place for genre, place in (places or {}).items()}
        self._placed = [(self._places[plain], label) for plain, label in self._labels.items() if plain in self._places]

    def __len__(self) -> int:
        return len(self._labels)

    def find(self, genre: str) -> Near | None:
        """Return the label nearest to a genre; None when no method finds one.

        >>> nearest = NearestGenre(["indie pop", "noise"], artists=[("harsh", "noise")])
        >>> [near and near.label for near in map(nearest.find, ("Noise", "harsh", "tin indie pop", "opera"))]
        ['noise', 'noise', 'indie pop', None]
        """
        plain = _plain(genre)
        if plain in self._labels:
            return Near(label=self._labels[plain], way=Way.ITSELF)
        if plain in self._company:
            return Near(label=self._company[plain], way=Way.COMPANY)
        part = self._by_words(plain)
        if part is not None:
            return Near(label=part, way=Way.WORDS)
        label = self._by_place(plain)
        return Near(label=label, way=Way.PLACE) if label is not None else None

    def replace(self, genres: Iterable[str]) -> tuple[str, ...]:
        """Return genres for a request: unchanged if the model knows one of them, else the nearest labels, each once.

        A known genre is better than the neighbours of unknown ones. A genre without a label stays, so that the
        model's answer lists it as unknown.
        """
        asked = tuple(genres)
        found = [self.find(genre) for genre in asked]
        if any(near is not None and near.way is Way.ITSELF for near in found):
            return asked
        return tuple(dict.fromkeys(near.label if near else genre for near, genre in zip(found, asked, strict=True)))

    def _most_common(self, artists: Iterable[Sequence[str]]) -> dict[str, str]:
        together: defaultdict[str, Counter[str]] = defaultdict(Counter)
        totals: Counter[str] = Counter()
        for genres in artists:
            plain = {_plain(genre) for genre in genres}
            known = plain & self._labels.keys()
            totals.update(known)
            for genre in plain - known:
                together[genre].update(known)
        # Ties go to the rarer label, which is more specific, then to the first in alphabetical order.
        return {
            genre: self._labels[min(counts, key=lambda label: (-counts[label], totals[label], label))]
            for genre, counts in together.items()
            if counts
        }

    def _by_words(self, plain: str) -> str | None:
        words = plain.split()[:MAX_WORDS]
        names = (" ".join(span) for span in spans(words, len(words) - 1))
        return next((self._labels[name] for name in names if name in self._labels), None)

    def _by_place(self, plain: str) -> str | None:
        place = self._places.get(plain)
        if place is None or not self._placed:
            return None
        return min(self._placed, key=lambda placed: (_distance(place, placed[0]), placed[1]))[1]


def _plain(genre: str) -> str:
    return " ".join(genre.casefold().split())


def _distance(one: Place, other: Place) -> float:
    return sum((left - right) ** 2 for left, right in zip(one, other, strict=True))
