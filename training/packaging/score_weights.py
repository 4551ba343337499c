"""Weights of the score by which a worker ranks candidates: the one table, copied into every bundle that is packed.

Features are standardised over the model's own candidates (`handlers.model.acceptability.Features`), so a weight is the
gain of score for one standard deviation.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

VERSION: Final = 2
"""Version of the weights; each change has its own. 1 was set by hand; 2 follows a logistic regression on the verdicts of
four blind readers about 740 candidates (docs/measurements/quality.md), which "copies" was not part of."""
WEIGHTS: Final[Mapping[str, float]] = MappingProxyType(
    {
        "mean_log_prob": 0.9,
        "slor": 0.2,
        "least_likely": 0.1,
        "second_least_likely": 0.1,
        "discriminator": 0.4,
        "unseen_pairs": -0.15,
        "unseen_triples": -0.35,
        "num_words": -0.35,
        "num_names": -0.1,
        "repeated_words": -0.6,
        "num_placeholders": 0.0,
        "topic": 0.3,
        # A second pass over the candidates, for what the topic and the discriminator mostly know.
        "genres": 0.0,
        "copies": -1.0,
    }
)
OPENING_PENALTY: Final = 1.0
"""Loss of score of a candidate that opens like an earlier sample of its request."""
