"""Benchmark of learning from verdicts: simulated curators judge a version, and the version that learned from it.

Both are judged as they are served: each ranks its candidates by its own rule.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any, Final

from benchmarks.training.curators import CURATORS, Curator
from benchmarks.training.finished import copied_share, interval_95
from benchmarks.training.learned_versions import LearnedVersions
from training.measures import distinct
from training.verdicts.learning import LEARNED_SHARE, RANKS_BY_BOTH

GOALS: Final[Mapping[int, float]] = {70: 0.08, 200: 0.12}
"""Gain of acceptance that is wanted from each number of verdicts."""
ALL: Final = "all tastes"
TOLERANCE: Final = 0.02
"""Accepted loss of distinct-2, relative to the base's, and accepted rise of the share of copies."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """Judgement of one curator on a version that learned from it, beside that on the base version."""

    curator: str
    verdicts: int
    seed: int
    refused: str = ""
    """Reason why nothing was learned; empty otherwise."""
    before: float = 0.0
    """Acceptance of the base version."""
    gain: float = 0.0
    """Acceptance of the new version less that of the base."""
    distinct_2: float = 1.0
    """Distinct-2 over the base's."""
    copied_before: float = 0.0
    """Share of the base's sentences with a long run of words of the training text."""
    copied: float = 0.0
    learned_share: float = 0.0
    """Figure `LEARNED_SHARE` of the training; 0 if the base's generator was kept."""
    ranks_by_both: bool = False
    """Whether the new version ranks by both where a request does not say."""
    auc: float = 0.5
    """Area under the curve of the value function, by cross-validation."""


def run(
    versions: LearnedVersions,
    counts: Sequence[int],
    seeds: Sequence[int],
    *,
    names: Sequence[str] = (),
    tell: Callable[[str], None],
) -> Iterator[Result]:
    """Learn from each curator, number of verdicts and seed.

    Args:
        versions: finished training, and what was learned before.
        counts: numbers of verdicts.
        seeds: seeds of tastes and verdicts.
        names: curators; all if it is empty.
        tell: gets a line about each result.
    """
    for seed in seeds:
        for curator in versions.curators(seed):
            if names and curator.name not in names:
                continue
            for count in counts:
                result = _judged(versions, curator, count, seed)
                tell(_told(result))
                yield result


def _judged(versions: LearnedVersions, curator: Curator, count: int, seed: int) -> Result:
    learned = versions.learned(curator, count, seed=seed)
    before = curator.acceptance(versions.served)
    copied_before = copied_share(versions.base, versions.served)
    if learned.refused:
        return Result(
            curator=curator.name,
            verdicts=count,
            seed=seed,
            refused=learned.refused,
            before=before,
            copied_before=copied_before,
            copied=copied_before,
        )
    texts = versions.sentences(curator, count, seed=seed)
    return Result(
        curator=curator.name,
        verdicts=count,
        seed=seed,
        before=before,
        gain=curator.acceptance(texts) - before,
        distinct_2=distinct(texts, 2) / distinct(versions.served, 2),
        copied_before=copied_before,
        copied=copied_share(versions.base, texts),
        learned_share=learned.figures.get(LEARNED_SHARE, 0.0),
        ranks_by_both=learned.figures[RANKS_BY_BOTH] > 0,
        auc=learned.figures["value.auc"],
    )


def summary(results: Sequence[Result]) -> dict[str, Any]:
    """Return the means over the seeds for each curator and number of verdicts, and over the curators, with goals.

    The interval of 95% of a curator's gain is over the seeds, that of all over curators and seeds. Seeds of a curator
    are more alike than curators are: `tastes_low` and `tastes_high` are the interval over the curators' means.
    """
    found: dict[str, Any] = {}
    for count in dict.fromkeys(each.verdicts for each in results):
        own = [each for each in results if each.verdicts == count]
        for name in (name for name in CURATORS if any(each.curator == name for each in own)):
            of_curator = [each for each in own if each.curator == name]
            found[f"{name}, {count} verdicts"] = _row(of_curator, [each.gain for each in of_curator])
        means = [fmean(each.gain for each in own if each.curator == name) for name in {each.curator for each in own}]
        row = found[f"{ALL}, {count} verdicts"] = _row(own, [each.gain for each in own])
        _, row["tastes_low"], row["tastes_high"] = interval_95(means)
        if count in GOALS:
            row["goal"] = GOALS[count]
            row["is_met"] = bool(
                row["gain"] >= GOALS[count]
                and row["gain_low"] > 0
                and row["distinct_2"] >= 1 - TOLERANCE
                and row["copied"] <= row["copied_before"] + TOLERANCE
            )
    return found


def _row(own: Sequence[Result], gains: Sequence[float]) -> dict[str, Any]:
    learned = [each for each in own if not each.refused]
    # Where nothing is learned there is no new version, and nothing is gained.
    gain, low, high = interval_95(gains)
    return {
        "runs": len(own),
        "refused": len(own) - len(learned),
        "before": fmean(each.before for each in own),
        "gain": gain,
        "gain_low": low,
        "gain_high": high,
        "distinct_2": fmean(each.distinct_2 for each in own),
        "copied_before": fmean(each.copied_before for each in own),
        "copied": fmean(each.copied for each in own),
        "auc": fmean(each.auc for each in learned) if learned else math.nan,
        "moved": sum(each.learned_share > 0 for each in own),
        "ranks_by_both": sum(each.ranks_by_both for each in own),
    }


def _told(result: Result) -> str:
    name = f"{result.curator}, {result.verdicts} verdicts, seed {result.seed}"
    if result.refused:
        return f"{name}: refused, {result.refused}"
    return (
        f"{name}: acceptance {result.before:.3f} {result.gain:+.3f}, distinct-2 x {result.distinct_2:.3f}, copied "
        f"{result.copied_before:.3f} -> {result.copied:.3f}, learned share {result.learned_share:g}, "
        f"{'ranks by both' if result.ranks_by_both else 'ranks by the score'}, area {result.auc:.2f}"
    )
