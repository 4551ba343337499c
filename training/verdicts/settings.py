"""Default of the weight of verdicts, which the command line shows without loading torch."""

from __future__ import annotations

from typing import Final

DEFAULT_WEIGHT: Final = 0.0
"""Weight of the loss -log P(accepted | z', a) in the generator's loss, where the topic's is `lcgan.topic_weight`. With
0 the generator is kept: what a version gains, the ranking gains (docs/concepts/learning.md#figures)."""
