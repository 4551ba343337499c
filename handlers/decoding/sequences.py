"""What a decode takes and gives."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from handlers.contract import DEFAULT_TEMPERATURE, DEFAULT_TOP_P
from handlers.model.vocabulary import EOS_ID


@dataclass(frozen=True, slots=True, kw_only=True)
class SequenceSpec:
    """What one row of a decode needs."""

    genres: tuple[int, ...]
    """Embedding indices; empty means no genre."""
    seed: int
    topic: int | None = None
    """Where the generator moves z to; the desired topic by default, and of no effect without a generator."""
    temperature: float = DEFAULT_TEMPERATURE
    top_k: int = 0
    top_p: float = DEFAULT_TOP_P
    min_p: float = 0.0
    max_tokens: int = 64
    guidance: float = 1.0
    """How much the genres weigh; see `handlers.decoding.guidance`. Of no effect without genres."""
    min_tokens: int = 0
    no_repeat_ngram_size: int = 0
    bad_words: tuple[str, ...] = ()
    """Words that may not stand in the sentence, as `handlers.decoding.constraints.word_repeats` parts words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DecodedSequence:
    """What one row became."""

    ids: tuple[int, ...]
    """Tokens, without the end mark."""
    token_count: int
    """Tokens drawn, with the end mark when it was reached."""
    log_prob: float
    """Sum of the drawn tokens' log-probabilities under the model itself: temperature 1, nothing filtered or banned."""
    finished: bool
    """Whether the sentence ended by itself before max_tokens."""

    @classmethod
    def of(cls, ids: Sequence[int], length: int, log2_prob: float) -> Self:
        """A row that has ended.

        Args:
            ids: what it has drawn, and anything behind it.
            length: tokens that it has drawn, at least one.
            log2_prob: base-2 logarithm of their probability.
        """
        finished = ids[length - 1] == EOS_ID
        return cls(
            ids=tuple(ids[: length - finished]),
            token_count=length,
            log_prob=log2_prob * math.log(2),
            finished=finished,
        )
