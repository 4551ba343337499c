"""Comparison of the report's figures with blind ratings.

Shapes: N sentences.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from training.evaluation.readers.agreement import (
    REAL_SOURCES,
    ReadersReport,
    Sentence,
    agreement,
    by_source,
    kappas,
    sentences_of,
)
from training.evaluation.readers.ratings import Rating
from training.evaluation.two_sample import Side, tell_apart
from training.evaluation.words import FloatArray, WordTable
from training.evaluation.yardstick import Yardstick


def compare(ratings: Sequence[Rating], yardstick: Yardstick) -> ReadersReport:
    """Sum up ratings, and measure which figures of the rated sentences agree with them."""
    sentences = sentences_of(ratings)
    figures = yardstick.per_text([each.text for each in sentences])
    scores_N = _two_sample_scores(sentences, yardstick)
    # Without samples, or with very few, no classifier can be trained.
    if np.isfinite(scores_N).all():
        figures["two_sample_score"] = scores_N
    return ReadersReport(
        sources=tuple(by_source(ratings)),
        kappas=tuple(kappas(ratings)),
        figures=tuple(agreement(sentences, figures, yardstick.resampler)),
    )


def _two_sample_scores(sentences: Sequence[Sentence], yardstick: Yardstick) -> FloatArray:
    """Score sentences by the classifier of the two-sample test, the higher the more like a sample.

    Rated samples are distinguished from real text of the valid split, to which rated real text is added.
    """
    table = WordTable()
    is_real = np.array([each.source in REAL_SOURCES for each in sentences], dtype=np.bool_)
    sampled = [each.text for each in sentences if each.source not in REAL_SOURCES]
    rated = [each.text for each in sentences if each.source in REAL_SOURCES]
    reference = yardstick.real.reference[0]
    wanted = max(0, len(sampled) - len(rated))
    if not sampled:
        return np.full(len(sentences), np.nan)
    samples = Side(table.encode(sampled), [f"sample {number}" for number in range(len(sampled))])
    texts, keys = [*rated, *reference.texts[:wanted]], [*(f"rated {n}" for n in range(len(rated))), *reference.keys]
    real = Side(table.encode(texts), keys[: len(texts)])
    of_samples, of_real = tell_apart(samples.texts, real.texts, sample_keys=samples.keys, real_keys=real.keys)
    scores = np.full(len(sentences), np.nan)
    scores[~is_real], scores[is_real] = of_samples, of_real[: len(rated)]
    return scores
