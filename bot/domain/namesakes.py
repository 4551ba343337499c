"""Names of one word that several artists may have: the genres found by such a name may be another artist's.

A list of artists gives the evidence. A word of other names is not enough: "Björk" has her own genres, although others
are called Bjork. But if the genres are those of a longer name with the word, as those of "After The Burial" under
"Burial", or if the word is in many names, nobody knows whose they are.
"""

from __future__ import annotations

import bisect
import math
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from itertools import islice, takewhile

from bot.domain.keys import artist_key, search_key

_SHARED = 0.3
"""Minimum share of a name's genres, weighted by their rarity, that a longer name with the word has as well."""
_SHARED_BEGINNING = 0.5
"""The same for a name with a word that only begins so, "Becky G" for "Beck", which happens by chance more often."""
_LONG = 3
"""Minimum letters of a word whose beginnings are compared."""
_MANY = 8
"""Minimum number of other names with the word from which it is a common word: "Love", "Blue"."""
_WORD = re.compile(r"\w+")

Artists = Iterable[tuple[str, Sequence[str]]]
"""Artists with their genres."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Index:
    names: dict[str, list[tuple[tuple[str, ...], frozenset[str]]]]
    """Names, by their words, and genres of the artists with a word."""
    words: list[str]
    """All words, sorted."""
    counts: Counter[str]
    """Artists of each genre."""
    num_artists: int

    def begun_by(self, beginning: str) -> Iterator[frozenset[str]]:
        """Genres of the artists with a longer word that begins so."""
        place = bisect.bisect_right(self.words, beginning)
        for word in takewhile(lambda word: word.startswith(beginning), islice(self.words, place, None)):
            yield from (genres for _, genres in self.names[word])

    def weight(self, genres: Iterable[str]) -> float:
        """Sum of the rarities of genres, in nats."""
        return sum(math.log((self.num_artists + 1) / max(1, self.counts[genre])) for genre in genres)

    def share(self, own: frozenset[str], total: float, others: frozenset[str]) -> float:
        """Share of an artist's genres, by rarity, that others have too; `total` is the weight of the artist's own."""
        return self.weight(own & others) / total if total else 0.0


class Namesakes:
    """Index of the words in artists' names, with the artists' genres.

    Args:
        artists: returns a list of artists; called at the first question.
    """

    def __init__(self, artists: Callable[[], Artists] = tuple) -> None:
        self._artists = artists

    def may_hide(self, name: str, genres: Iterable[str]) -> bool:
        """Whether the genres that were found by a name of one word may be another artist's.

        >>> artists = [("Ferry", ["folk"]), ("Pale Ferry", ["folk", "pop"]), ("Mica", ["rye"]), ("Mica Dunn", ["pop"])]
        >>> namesakes = Namesakes(lambda: artists)
        >>> [namesakes.may_hide(name, genres) for name, genres in artists]
        [True, False, False, False]
        """
        words = _words(name)
        if len(words) != 1 or name.startswith("@"):
            return False
        if len(words[0]) == 1 and words[0].isascii():
            return True
        index = self._index
        own = frozenset(genres)
        share = partial(index.share, own, index.weight(own))
        others = index.names.get(words[0], [])
        longer = [found for other, found in others if other != words]
        same = [found for other, found in others if other == words]
        return (
            len(longer) >= _MANY
            or any(share(found) >= _SHARED for found in longer)
            or (len(words[0]) >= _LONG and any(share(found) >= _SHARED_BEGINNING for found in index.begun_by(words[0])))
            # Two artists of one name in the list, with genres of their own.
            or (len(same) > 1 and any(share(found) < _SHARED for found in same))
        )

    @cached_property
    def _index(self) -> _Index:
        names: defaultdict[str, list[tuple[tuple[str, ...], frozenset[str]]]] = defaultdict(list)
        counts: Counter[str] = Counter()
        num_artists = 0
        for name, genres in self._artists():
            words, found = _words(name), frozenset(genres)
            counts.update(found)
            num_artists += 1
            for word in set(words):
                names[word].append((words, found))
        return _Index(names=dict(names), words=sorted(names), counts=counts, num_artists=num_artists)


def _words(name: str) -> tuple[str, ...]:
    return tuple(_WORD.findall(search_key(artist_key(name))))
