"""The best of several candidates for one sample."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

from handlers.engine import Decoded

_GENRES: Final = 0.3
"""Weight of the genres: at 1 they outvote the topic, whose log share varies less from sentence to sentence."""


def best_candidates(
    decoded: Sequence[Decoded], topic_shares: Sequence[float], genre_log_odds: Sequence[float], best_of: int
) -> list[int]:
    """Index of the best candidate of each sample.

    The score is the log of the wanted topic's share plus .3 times what the genres say for the sentence
    (`Engine.genre_log_odds`). The sentence's own likelihood has no part in it: choosing by it gives bland and copied
    sentences (docs/log.md). One that was cut off comes last.

    Args:
        decoded: `best_of` candidates of the first sample, then of the next.
        topic_shares: the wanted topic's share of each candidate.
        genre_log_odds: of each candidate.
        best_of: candidates per sample.
    """

    def score(index: int) -> tuple[bool, float]:
        return decoded[index].finished, math.log(max(topic_shares[index], 1e-9)) + _GENRES * genre_log_odds[index]

    return [max(range(first, first + best_of), key=score) for first in range(0, len(decoded), best_of)]
