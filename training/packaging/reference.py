"""Reference of a version (`handlers.reference`), from the training sentences' genres and samples as served."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Final

import numpy as np

from handlers.model.bundle import Bundle
from handlers.ranking.candidates import Candidate
from handlers.reference import Distribution, Reference

MAX_GENRES: Final = 200
"""Genre labels whose shares are kept, the most frequent ones."""


def make_reference(bundle: Bundle, *, genres: Sequence[Sequence[str]], samples: Sequence[Candidate]) -> Reference:
    """Return the reference of a model.

    Args:
        bundle: the model.
        genres: genres of each training sentence; may be empty.
        samples: samples as a worker returns them, at least one.
    """
    labels: Counter[str] = Counter()
    num_known = num_unknown = 0
    for row in genres:
        known, unknown = bundle.genres.resolve(row)
        labels.update(set(known))
        num_known, num_unknown = num_known + len(row) - len(unknown), num_unknown + len(unknown)
    lengths = [sample.decoded.token_count for sample in samples]
    log_probs = [sample.decoded.log_prob / max(1, sample.decoded.token_count) for sample in samples]
    copied = bundle.copies.count([sample.text for sample in samples]) if bundle.copies is not None else [0]
    return Reference(
        genres={label: count / len(genres) for label, count in labels.most_common(MAX_GENRES)},
        unknown=num_unknown / max(1, num_known + num_unknown),
        num_tokens=_distribution(lengths),
        token_log_prob=_distribution(log_probs),
        topics=tuple(np.clip(np.mean([sample.shares for sample in samples], axis=0), 0, 1).tolist()),
        copies=float(np.mean(np.asarray(copied) > 0)),
        num_samples=len(samples),
    )


def _distribution(values: Sequence[float]) -> Distribution:
    return Distribution(mean=float(np.mean(values)), sd=float(np.std(values)))
