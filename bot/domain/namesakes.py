"""Names of one word that several artists may have, such as a short or an everyday word."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable
from functools import cached_property

from bot.domain.keys import artist_key

_SHORT = 3
_WORD = re.compile(r"\w+")


class Namesakes:
    """Index of the words in artists' names: a word that other names hold as well does not say who is meant.

    Args:
        names: returns the names of a list of artists; called at the first question.
    """

    def __init__(self, names: Callable[[], Iterable[str]] = tuple) -> None:
        self._names = names

    @cached_property
    def _counts(self) -> Counter[str]:
        counts: Counter[str] = Counter()
        for name in {artist_key(name) for name in self._names()}:
            counts.update(set(_WORD.findall(name)))
        return counts

    def may_hide(self, name: str) -> bool:
        """Whether several artists may have this name: one word of at most three letters, or of another name as well.

        >>> namesakes = Namesakes(lambda: ["Ferry", "Pale Ferry", "Salt Clock", "Onavell"])
        >>> [namesakes.may_hide(name) for name in ("Ferry", "The Ferry", "Onavell", "Salt Clock", "Ox")]
        [True, True, False, False, True]
        """
        words = _WORD.findall(artist_key(name.removeprefix("@")))
        if len(words) != 1 or name.startswith("@"):
            return False
        return len(words[0]) <= _SHORT or self._counts[words[0]] > 1
