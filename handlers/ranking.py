"""The best of several candidates for one sample."""

from __future__ import annotations

import math
from collections.abc import Sequence

from handlers.engine import Decoded


def best_candidates(decoded: Sequence[Decoded], topic_shares: Sequence[float], best_of: int) -> list[int]:
    """Index of the best candidate of each sample.

    The score is the mean log-probability per token plus the log of the wanted topic's share: the first alone prefers
    bland sentences, the second alone ungrammatical ones. A sentence that was cut off comes last.

    Args:
        decoded: `best_of` candidates of the first sample, then of the next.
        topic_shares: the wanted topic's share of each candidate.
        best_of: candidates per sample.
    """

    def score(index: int) -> tuple[bool, float]:
        row = decoded[index]
        return row.finished, row.log_prob / row.token_count + math.log(max(topic_shares[index], 1e-9))

    return [max(range(first, first + best_of), key=score) for first in range(0, len(decoded), best_of)]
