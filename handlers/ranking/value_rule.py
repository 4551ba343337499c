"""Rule for requests that rank by the value function: the log odds that a curator accepts, alone or with the score."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
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
    common: float = 0.0
    """Log odds that it loses by common word pairs where both rank."""


def best_by_value(samples: Sequence[Sequence[Valued]], rule: RankBy, *, earlier: Iterable[str] = ()) -> list[int]:
    """Return the index of the best candidate of each sample of a request; see `choose`.

    Args:
        samples: candidates of each sample, at least one each.
        rule: `RankBy.VALUE` or `RankBy.BOTH`.
        earlier: texts of the samples before them, where they are a part of a request.
    """

    def scored(each: Valued) -> Scored:
        return Scored(index=each.index, finished=each.finished, score=total(each, rule), text=each.text)

    return choose([[scored(each) for each in candidates] for candidates in samples], _OPENING, earlier=earlier)


def total(candidate: Valued, rule: RankBy) -> float:
    """Return what a rule ranks by, in natural log odds, without regard to the openings of other samples.

    Args:
        candidate: candidate.
        rule: `RankBy.VALUE` or `RankBy.BOTH`.
    """
    alone = candidate.log_odds - _COPY * bool(candidate.copies)
    return alone + _SCORE * candidate.score - candidate.common if rule is RankBy.BOTH else alone
