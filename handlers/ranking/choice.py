"""Choice between scored candidates, which keeps the samples of a request apart."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from foundation.text_ngrams import words

_OPENING: Final = 3
"""Number of words of an opening."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scored:
    """Candidate with its score."""

    index: int
    """Place among the candidates of the batch."""
    finished: bool
    """Whether the sentence ended by itself."""
    score: float
    text: str


def opening(text: str) -> tuple[str, ...]:
    """Return the first three words of a text, case folded.

    >>> opening("It's a Warm, slow hum.")
    ("it's", 'a', 'warm')
    """
    return tuple(words(text)[:_OPENING])


def choose(samples: Sequence[Sequence[Scored]], opening_penalty: float, *, earlier: Iterable[str] = ()) -> list[int]:
    """Return the index of the best candidate of each sample.

    The samples take turns in their order. A candidate that opens like an earlier sample loses `opening_penalty`: so it
    is chosen only where it is better than every other by more than that. The first sample is the same whatever the
    number of samples. A sentence that was cut off ranks last, and of equal candidates the first is chosen.

    Args:
        samples: candidates of each sample, at least one each.
        opening_penalty: loss of score for an opening that an earlier sample has.
        earlier: texts of the samples before them, where they are a part of a request.
    """
    openings = {opening(text) for text in earlier}
    chosen = []
    for candidates in samples:

        def value(each: Scored) -> tuple[bool, float]:
            return each.finished, each.score - opening_penalty * (opening(each.text) in openings)

        best = max(candidates, key=value)
        openings.add(opening(best.text))
        chosen.append(best.index)
    return chosen
