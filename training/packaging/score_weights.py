"""Weights of the score by which a worker ranks candidates: the one table, copied into every bundle that is packed.

Features are standardised over the model's own candidates (`handlers.model.acceptability.Features`), so a weight is the
gain of score for one standard deviation.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

VERSION: Final = 4
"""Version of the weights; each change has its own. 1 was set by hand; 4 follows logistic regressions on the verdicts of
six blind readers about 1,098 ratings of candidates (docs/measurements/quality.md). Two weights were moved from the
regressions' by what readers said of flavour: the number of words lowers the score less, and the topic raises it more.
The weight of copies was set by hand, and that of the discriminator, which few bundles have,
halved when readers would post 66% of what it helped to choose and 69% of what was chosen without it."""
WEIGHTS: Final[Mapping[str, float]] = MappingProxyType(
    {
        "mean_log_prob": 0.75,
        "slor": 0.25,
        "least_likely": 0.15,
        "second_least_likely": 0.15,
        "discriminator": 0.2,
        "unseen_pairs": -0.15,
        "unseen_triples": -0.45,
        "num_words": -0.2,
        "num_names": 0.0,
        "repeated_words": -0.4,
        "num_placeholders": 0.0,
        "topic": 0.6,
        # A second pass over the candidates, for what the topic and the discriminator mostly know.
        "genres": 0.0,
        "copies": -1.0,
    }
)
OPENING_PENALTY: Final = 1.0
"""Loss of score of a candidate that opens like an earlier sample of its request."""
