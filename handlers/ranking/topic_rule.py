"""Rule for bundles without an acceptability: the wanted topic, the genres and a penalty for copies."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

from handlers.decoding.sequences import DecodedSequence

_GENRES: Final = 0.3
"""Weight of the genres. At 1 they would outweigh the topic, whose log share varies less from sentence to sentence."""

_COPIES: Final = 1.0
"""Weight of each copied n-gram, which costs as much as a topic share 2.7 times smaller."""


def best_candidates(
    decoded: Sequence[DecodedSequence],
    topic_shares: Sequence[float],
    genre_log_odds: Sequence[float],
    best_of: int,
    copied: Sequence[int] | None = None,
) -> list[int]:
    """Return the index of the best candidate of each sample.

    The score is the log of the wanted topic's share plus 0.3 times the log odds that the genres give the sentence
    (`Engine.genre_log_odds`), less 1 for each n-gram of a training sentence (`handlers.model.copies`). The sentence's
    own likelihood is not part of it: choosing by it gives bland and copied sentences
    (docs/measurements/log.md#2026-11-22-ranking-of-candidates-and-the-default-temperature-adopted). A sentence that was
    cut off ranks last.

    Args:
        decoded: candidates, `best_of` of the first sample, then of the next.
        topic_shares: share of the wanted topic in each candidate.
        genre_log_odds: log odds that the genres give each candidate.
        best_of: candidates per sample.
        copied: number of n-grams that each candidate shares with a training sentence; None where it is unknown.
    """

    def score(index: int) -> tuple[bool, float]:
        penalty = 0 if copied is None else _COPIES * copied[index]
        log_share = math.log(max(topic_shares[index], 1e-9))
        return decoded[index].finished, log_share + _GENRES * genre_log_odds[index] - penalty

    return [max(range(first, first + best_of), key=score) for first in range(0, len(decoded), best_of)]
