"""Input and output of a decode: one sequence is one candidate of one sample of one request."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Self

from handlers.contract import FinishReason, SamplingParams
from handlers.decoding.ending import finish_reason
from handlers.model.vocabulary import EOS_ID


@dataclass(frozen=True, slots=True, kw_only=True)
class SequenceSpec:
    """Specification of one sequence: all that its tokens depend on, beside the weights."""

    genres: tuple[int, ...]
    """Embedding indices; empty means no genre."""
    seed: int
    topic: int | None = None
    """Topic to which the generator moves the latent vector; the desired one by default. Without a generator it has no
    effect."""
    sampling: SamplingParams = field(default_factory=SamplingParams)
    """Sampling parameters. Guidance has no effect without genres."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DecodedSequence:
    """A decoded sequence."""

    ids: tuple[int, ...]
    """Tokens, without the end mark."""
    token_count: int
    """Number of drawn tokens, with the end mark when it was reached."""
    log_prob: float
    """Sum of the drawn tokens' log-probabilities under the model itself, in nats: temperature 1, nothing filtered or
    forbidden."""
    token_log_probs: tuple[float, ...]
    """Log-probability of each drawn token, the end mark included: the terms of `log_prob`."""
    finish_reason: FinishReason | None
    """Reason why the sequence ended; None where it was abandoned."""

    @property
    def finished(self) -> bool:
        """Whether the sentence ended by itself."""
        return self.finish_reason is FinishReason.STOP

    @property
    def abandoned(self) -> bool:
        """Whether the sequence was abandoned before its end."""
        return self.finish_reason is None

    @property
    def drawn_ids(self) -> tuple[int, ...]:
        """Drawn tokens, the end mark included."""
        return (*self.ids, EOS_ID) if self.finished else self.ids

    @classmethod
    def of(cls, ids: Sequence[int], length: int, log2_prob: float, log2_probs: Sequence[float]) -> Self:
        """Return a sequence that has ended.

        Args:
            ids: drawn tokens, and anything behind them.
            length: number of drawn tokens, at least one.
            log2_prob: base-2 logarithm of their probability.
            log2_probs: base-2 logarithms of each token's, and anything behind them.
        """
        reason = finish_reason(ids[length - 1])
        return cls(
            ids=tuple(ids[: length - (reason is FinishReason.STOP)]),
            token_count=length,
            log_prob=log2_prob * math.log(2),
            token_log_probs=tuple([each * math.log(2) for each in log2_probs[:length]]),
            finish_reason=reason,
        )

    def abandoned_after(self, count: int) -> DecodedSequence:
        """Return the sequence as it is if it is abandoned after some tokens, fewer than it has."""
        return DecodedSequence(
            ids=self.ids[:count],
            token_count=count,
            log_prob=math.fsum(self.token_log_probs[:count]),
            token_log_probs=self.token_log_probs[:count],
            finish_reason=None,
        )
