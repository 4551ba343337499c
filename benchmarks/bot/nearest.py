"""Benchmark of the nearest known genre: the share of a genre's artists that have the label found for it.

The artists of a table are split into halves: shared artists are counted on one, and every way is judged on the other.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bot.adapters.lookups.catalog import FileCatalog
from bot.domain.namesakes import Namesakes
from bot.domain.nearest_genre import NearestGenre, Place

MIN_ARTISTS = 3
"""Minimum number of judged artists of a genre."""

Find = Callable[[str], str | None]


def measure(
    labels: Sequence[str], artists: Iterable[tuple[str, Sequence[str]]], places: Mapping[str, Place] | None = None
) -> dict[str, Any]:
    """Figures by way over the genres that are not labels: the mean share, and the share of genres that a way covers.

    Args:
        labels: genres that a model knows.
        artists: names and genres.
        places: map of genres.
    """
    halves: tuple[list[frozenset[str]], list[frozenset[str]]] = ([], [])
    for name, genres in artists:
        # Split by name, so that the halves are the same on every machine and in any order.
        halves[hashlib.sha256(name.encode("utf-8", "replace")).digest()[0] % 2].append(frozenset(genres))
    counted, judged = halves
    together, sizes = _together(judged, frozenset(labels))
    genres = sorted(genre for genre, size in sizes.items() if size >= MIN_ARTISTS and genre not in set(labels))
    ways: dict[str, NearestGenre] = {
        "company": NearestGenre(labels, artists=map(tuple, counted)),
        "words": NearestGenre(labels),
        "place": NearestGenre(labels, places=places),
        "all": NearestGenre(labels, artists=map(tuple, counted), places=places),
    }
    finds: dict[str, Find] = {way: _finder(nearest, way) for way, nearest in ways.items()}
    sizes_of_labels, _ = _together(counted, frozenset(labels))
    totals = Counter(label for counts in sizes_of_labels.values() for label in counts.elements())
    finds["commonest"] = lambda _genre: max(totals, key=lambda label: (totals[label], label)) if totals else None
    finds["best_possible"] = lambda genre: max(together[genre], key=lambda label: together[genre][label], default=None)
    return {
        "genres": len(genres),
        "labels": len(labels),
        "artists": len(counted) + len(judged),
        **{name: _judge(find, genres, together, sizes) for name, find in finds.items()},
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """Genres of an artist and of a request."""

    artist: str
    known: tuple[str, ...] | None
    """Genres by the catalog; None if it does not have the artist."""
    asked: tuple[str, ...]
    """Genres of a request in their place; empty if they stay."""
    namesakes: bool
    """Whether several artists may have this name."""


def asked_for(
    names: Iterable[str], labels: Sequence[str], catalog: FileCatalog, places: Mapping[str, Place] | None = None
) -> list[Asked]:
    """Return the genres that a model with these labels would be asked for, for each artist.

    Args:
        names: artists.
        labels: genres that the model knows.
        catalog: artists and genres.
        places: map of genres.
    """
    nearest = NearestGenre(labels, artists=(entry.genres for entry in catalog.entries()), places=places)
    namesakes = Namesakes(lambda: ((entry.name, entry.genres) for entry in catalog.entries()))
    rows = []
    for name in names:
        entry = catalog.find(name)
        known = entry.genres if entry is not None else None
        asked = nearest.replace(known or ())
        rows.append(
            Asked(
                artist=name,
                known=known,
                asked=asked if asked != known else (),
                namesakes=entry is not None and namesakes.may_hide(entry.name, entry.genres),
            )
        )
    return rows


def _finder(nearest: NearestGenre, way: str) -> Find:
    def find(genre: str) -> str | None:
        near = nearest.find(genre)
        return near.label if near is not None and way in {near.way.value, "all"} else None

    return find


def _together(
    artists: Iterable[frozenset[str]], labels: frozenset[str]
) -> tuple[defaultdict[str, Counter[str]], Counter[str]]:
    together: defaultdict[str, Counter[str]] = defaultdict(Counter)
    sizes: Counter[str] = Counter()
    for genres in artists:
        sizes.update(genres)
        known = genres & labels
        for genre in genres:
            together[genre].update(known)
    return together, sizes


def _judge(
    find: Find, genres: Sequence[str], together: Mapping[str, Counter[str]], sizes: Mapping[str, int]
) -> dict[str, float | None]:
    found = {genre: label for genre in genres if (label := find(genre)) is not None}
    shares = [together[genre][label] / sizes[genre] for genre, label in found.items()]
    return {
        "share": sum(shares) / len(shares) if shares else None,
        "says_something": len(found) / len(genres) if genres else None,
    }
