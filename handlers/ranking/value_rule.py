"""Rule for requests that rank by the value function: the log odds that a curator accepts, alone or with the score."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from handlers.contract import RankBy
from handlers.ranking.choice import Scored, choose

_SCORE: Final = 0.5
"""Log odds that a score by acceptability of 1 is worth where both rank. The value function knows little of sentences
unlike those that were judged, and alone it prefers some of them (docs/concepts/learning.md)."""
_COPY: Final = 2.0
"""Log odds that a candidate loses which holds a long run of words of a training sentence."""
_OPENING: Final = 1.0
"""Log odds that a candidate loses which opens like an earlier sample of its request."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Valued:
    """Candidate with what the rule weighs."""

    index: int
    """Place among the candidates of the batch."""
    finished: bool
    """Whether the sentence ended by itself."""
    text: str
    log_odds: float
    """Natural log odds that a curator accepts it."""
    copies: int
    """Number of n-grams of a training sentence."""
    score: float
    """Score by acceptability; not weighed where the value ranks alone."""


def best_by_value(samples: Sequence[Sequence[Valued]], rule: RankBy) -> list[int]:
    """Return the index of the best candidate of each sample of a request; see `choose`.

    Args:
        samples: candidates of each sample, at least one each.
        rule: `RankBy.VALUE` or `RankBy.BOTH`.
    """
    weight = _SCORE if rule is RankBy.BOTH else 0.0

    def scored(each: Valued) -> Scored:
        total = each.log_odds - _COPY * bool(each.copies) + weight * each.score
        return Scored(index=each.index, finished=each.finished, score=total, text=each.text)

    return choose([[scored(each) for each in candidates] for candidates in samples], _OPENING)
