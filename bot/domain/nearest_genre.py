"""Nearest known genre ("label") for a genre that the model does not know, and none where the support is weak.

Three methods, the most accurate first. `deephypebot bot bench genres` measures them: the share of a genre's artists who
have the label that was found, on held-out artists.

1. company: the label that artists of the genre have most markedly as well, by a table of artists. It needs support: 3
   artists, a tenth of the genre's, and twice the share that the label has among all artists (its lift);
2. words: the longest part of the genre's name that is a label ("canadian indie pop" -> "indie pop", "k-pop" -> "pop");
3. place: the nearest label on a map of genres, within a radius.
"""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from foundation.text_ngrams import spans

MIN_ARTISTS, MIN_SHARE, MIN_LIFT = 3, 0.1, 2.0
"""Support that a label needs: artists of the genre who have it, their share, and the share's ratio to that of all."""
RADIUS = 0.08
"""Maximum distance on the map, whose sides have a length of 1."""
MAX_LABELS = 3
"""Maximum labels that replace an artist's genres; more would ask for everything at once."""
MAX_WORDS = 12
"""Maximum words of a genre's name that are compared."""


class Way(StrEnum):
    """Method by which a label was found."""

    ITSELF = "itself"
    COMPANY = "company"
    WORDS = "words"
    PLACE = "place"


_SHARES = ((Way.COMPANY, 0.35), (Way.WORDS, 0.25), (Way.PLACE, 0.35))
"""Share of an artist's genres that must have the same label: one genre in nine says little of the artist."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Near:
    """A label and the method that found it."""

    label: str
    way: Way
    weight: float = 1.0
    """Strength of the support, comparable within one method: the share times the logarithm of the lift."""


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
        self._company = self._most_marked(artists)
        self._places = {_plain(genre): place for genre, place in (places or {}).items()}
        self._placed = [(self._places[plain], label) for plain, label in self._labels.items() if plain in self._places]

    def __len__(self) -> int:
        return len(self._labels)

    def find(self, genre: str) -> Near | None:
        """Return the label nearest to a genre; None when no method finds one.

        >>> nearest = NearestGenre(["indie pop", "noise"], artists=[("harsh", "noise")] * 3 + [("pop",)] * 9)
        >>> [near and near.label for near in map(nearest.find, ("Noise", "harsh", "tin indie pop", "opera"))]
        ['noise', 'noise', 'indie pop', None]
        """
        plain = _plain(genre)
        if plain in self._labels:
            return Near(label=self._labels[plain], way=Way.ITSELF)
        if plain in self._company:
            return self._company[plain]
        part = self._by_words(plain)
        if part is not None:
            return Near(label=part, way=Way.WORDS)
        label = self._by_place(plain)
        return Near(label=label, way=Way.PLACE) if label is not None else None

    def replace(self, genres: Iterable[str]) -> tuple[str, ...]:
        """Return genres for a request: unchanged if the model knows one of them or no label is near, else the labels.

        A known genre is better than the neighbours of unknown ones. The neighbours are those of the most accurate
        method that finds one for enough of the genres, each once, those with the strongest support first.

        >>> nearest = NearestGenre(["indie pop", "noise"], artists=[("harsh", "noise")] * 3 + [("pop",)] * 9)
        >>> nearest.replace(["harsh", "opera"]), nearest.replace(["tin indie pop"]), nearest.replace(["opera"])
        (('noise',), ('indie pop',), ('opera',))
        """
        asked = tuple(genres)
        found = [near for near in map(self.find, asked) if near is not None]
        if any(near.way is Way.ITSELF for near in found):
            return asked
        for way, share in _SHARES:
            weights: defaultdict[str, list[float]] = defaultdict(list)
            for near in found:
                if near.way is way:
                    weights[near.label].append(near.weight)
            labels = [label for label, each in weights.items() if len(each) >= share * len(asked)]
            if labels:
                return tuple(sorted(labels, key=lambda label: (-sum(weights[label]), label))[:MAX_LABELS])
        return asked

    def _most_marked(self, artists: Iterable[Sequence[str]]) -> dict[str, Near]:
        together: defaultdict[str, Counter[str]] = defaultdict(Counter)
        totals: Counter[str] = Counter()
        sizes: Counter[str] = Counter()
        number = 0
        for genres in artists:
            plain = {_plain(genre) for genre in genres}
            known = plain & self._labels.keys()
            number += 1
            totals.update(known)
            for genre in plain - known:
                sizes[genre] += 1
                together[genre].update(known)
        found = ((genre, self._supported(counts, sizes[genre], totals, number)) for genre, counts in together.items())
        return {genre: near for genre, near in found if near is not None}

    def _supported(self, counts: Counter[str], size: int, totals: Counter[str], number: int) -> Near | None:
        """Return the label with the strongest support of a genre with `size` of `number` artists."""
        nears = [
            Near(label=self._labels[label], way=Way.COMPANY, weight=count / size * math.log2(lift))
            for label, count in counts.items()
            if count >= MIN_ARTISTS
            and count >= MIN_SHARE * size
            and (lift := count * number / (size * totals[label])) >= MIN_LIFT
        ]
        # Ties go to the first in alphabetical order.
        return min(nears, key=lambda near: (-near.weight, near.label), default=None)

    def _by_words(self, plain: str) -> str | None:
        for words in (plain.split()[:MAX_WORDS], re.split(r"[\s-]+", plain)[:MAX_WORDS]):
            names = (" ".join(span) for span in spans(words, len(words) - 1))
            label = next((self._labels[name] for name in names if name in self._labels), None)
            if label is not None:
                return label
        return None

    def _by_place(self, plain: str) -> str | None:
        place = self._places.get(plain)
        if place is None or not self._placed:
            return None
        distance, label = min((_distance(place, other), label) for other, label in self._placed)
        return label if distance <= RADIUS**2 else None


def _plain(genre: str) -> str:
    return " ".join(genre.casefold().split())


def _distance(one: Place, other: Place) -> float:
    return sum((left - right) ** 2 for left, right in zip(one, other, strict=True))
