"""Limits of learning: sentences that are as different as the base's and copied as rarely, by a test.

Both versions answer the same requests, so their figures move together. What is left of chance is measured by leaving
out a block of requests at a time (the delete-a-group jackknife; Efron and Tibshirani 1993, "An introduction to the
bootstrap", section 11.5). A version is within the limits if even the unfavourable end of a one-sided interval of 95% is
(a test of non-inferiority): few samples refuse a version, they do not let it pass.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Final

from scipy.stats import t as student

from training.measures import distinct

TOLERANCE: Final = 0.02
"""Accepted loss of distinct-2, relative to the base's, and accepted rise of the share of copies."""
_BLOCKS: Final = 20
_ONE_SIDED: Final = 0.95


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """Sentences that a version would serve, one for each of some requests."""

    texts: tuple[str, ...]
    values: tuple[float, ...]
    """Lower probability that curators accept each."""
    copied: tuple[bool, ...]
    """Whether each holds a long run of words of the training text."""

    def __post_init__(self) -> None:
        if not len(self.texts) == len(self.values) == len(self.copied):
            raise ValueError(
                f"each text has a value and may be a copy, got {len(self.texts)}, {len(self.values)} and "
                f"{len(self.copied)}"
            )

    @property
    def value(self) -> float:
        """Mean of the lower probability that curators accept them."""
        return fmean(self.values) if self.values else 0.0

    @property
    def distinct_2(self) -> float:
        """Distinct-2 of the sentences."""
        return distinct(self.texts, 2)

    @property
    def copied_share(self) -> float:
        """Share of copies."""
        return fmean(map(float, self.copied)) if self.copied else 0.0

    def without(self, block: int, blocks: int) -> Written:
        """Return the sentences without those of one block: every `blocks`-th from `block` on."""
        left = [place for place in range(len(self.texts)) if place % blocks != block]
        return Written(
            texts=tuple(self.texts[place] for place in left),
            values=tuple(self.values[place] for place in left),
            copied=tuple(self.copied[place] for place in left),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """One-sided bounds of 95% on the difference between two versions."""

    distinct_2: float
    """Lower bound of distinct-2 over that of the other version."""
    copied: float
    """Upper bound of the share of copies less that of the other version."""
    value: float
    """Lower bound of the value less that of the other version."""

    @property
    def is_within(self) -> bool:
        """Whether variety and copies are within the limits."""
        return self.distinct_2 >= 1 - TOLERANCE and self.copied <= TOLERANCE


def compare(after: Written, before: Written) -> Bounds:
    """Return the bounds on the difference of a version from another, which answered the same requests.

    Raises:
        ValueError: they did not answer the same number of requests, or fewer than two.
    """
    if len(after.texts) != len(before.texts) or len(after.texts) < 2:
        raise ValueError(
            f"two versions are compared on the same requests, at least 2; got {len(after.texts)} and "
            f"{len(before.texts)} sentences"
        )
    # A text of fewer than two words has no pairs.
    smallest = 1e-9

    def ratio(new: Written, old: Written) -> float:
        return math.log(max(new.distinct_2, smallest) / max(old.distinct_2, smallest))

    return Bounds(
        distinct_2=math.exp(_lower(ratio, after, before)),
        copied=-_lower(lambda new, old: old.copied_share - new.copied_share, after, before),
        value=_lower(lambda new, old: new.value - old.value, after, before),
    )


def _lower(figure: Callable[[Written, Written], float], after: Written, before: Written) -> float:
    """Return the lower bound of a figure of two versions by the jackknife."""
    blocks = min(_BLOCKS, len(after.texts))
    left_out: Sequence[float] = [
        figure(after.without(block, blocks), before.without(block, blocks)) for block in range(blocks)
    ]
    mean = fmean(left_out)
    error = math.sqrt((blocks - 1) / blocks * math.fsum((each - mean) ** 2 for each in left_out))
    return figure(after, before) - float(student.ppf(_ONE_SIDED, blocks - 1)) * error
