"""Weights of the score by which a worker ranks candidates: the one table, copied into every bundle that is packed.

Features are standardised over the model's own candidates (`handlers.model.acceptability.Features`), so a weight is the
gain of score for one standard deviation.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

VERSION: Final = 6
"""Version of the weights; each change has its own. 1 was set by hand. 5 starts from logistic regressions on 1,098
ratings of candidates by blind readers and was then moved, by their ratings of what it chooses
(docs/measurements/quality.md): the log-probability counts less and the number of words does not lower the score, for
flavour and variety; the discriminator, which few bundles have, counts less. The weight of copies is set by hand, and in
6 by what is still copied: 8-grams in 2.9% of samples, not 4.4%."""
WEIGHTS: Final[Mapping[str, float]] = MappingProxyType(
    {
        "mean_log_prob": 0.5,
        "slor": 0.35,
        "least_likely": 0.15,
        "second_least_likely": 0.15,
        "discriminator": 0.2,
        "unseen_pairs": -0.1,
        "unseen_triples": -0.35,
        "num_words": 0.1,
        "num_names": 0.0,
        "repeated_words": -0.5,
        "num_placeholders": 0.0,
        "topic": 0.4,
        # A second pass over the candidates, for what the topic and the discriminator mostly know.
        "genres": 0.0,
        "copies": -4.0,
    }
)
OPENING_PENALTY: Final = 1.0
"""Loss of score of a candidate that opens like an earlier sample of its request."""
