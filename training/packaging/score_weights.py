"""Weights of the score by which a worker ranks candidates: the one table, copied into every bundle that is packed.

Features are standardised over the model's own candidates (`handlers.model.acceptability.Features`), so a weight is the
gain of score for one standard deviation.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

VERSION: Final = 1
"""Version of the weights; each change has its own. 1 was set by hand, before there were verdicts to fit to."""
WEIGHTS: Final[Mapping[str, float]] = MappingProxyType(
    {
        "mean_log_prob": 0.4,
        "slor": 0.4,
        "least_likely": 0.3,
        "second_least_likely": 0.1,
        "discriminator": 0.8,
        "unseen_pairs": -0.3,
        "unseen_triples": -0.3,
        "num_words": 0.2,
        "num_names": -0.2,
        "repeated_words": -0.3,
        "num_placeholders": 0.0,
        "topic": 0.4,
        # A second pass over the candidates, for what the topic and the discriminator mostly know.
        "genres": 0.0,
        "copies": -0.5,
    }
)
OPENING_PENALTY: Final = 1.0
"""Loss of score of a candidate that opens like an earlier sample of its request."""
