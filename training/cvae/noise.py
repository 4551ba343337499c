"""Noise of a training step: dropout, word dropout and the noise of z, drawn for the whole batch in every process.

Shapes: B rows, T steps, E embedding, Z latent vector.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from handlers.model.vocabulary import BOS_ID, UNK_ID


def mixed_seed(*parts: int) -> int:
    """Hash several integers into a seed for torch.

    The seed has 32 bits because torch's CPU generator ignores higher ones.
    """
    return int(np.random.SeedSequence(parts).generate_state(1)[0])


@dataclass(frozen=True, slots=True, kw_only=True)
class StepNoise:
    """Noise of one step, drawn from torch's seeded global generator in the order of the calls.

    Random numbers are drawn for all rows of the batch, and this process keeps its shard, so they do not depend on the
    number of processes. Drawing them is cheap next to the matrix products of a step.
    """

    rows: int
    """Number of rows of the whole batch."""
    steps: int
    """Number of steps of the whole batch."""
    shard: slice
    """Rows that this process has."""
    dropout: float
    """Probability with which a value is set to zero."""
    word_dropout: float
    """Probability with which an input token is replaced by the unknown token."""

    def normal(self, like_BZ: Tensor) -> Tensor:
        """Draw standard normal numbers of a tensor's shape."""
        return torch.randn(self.rows, like_BZ.shape[1], device=like_BZ.device)[self.shard]

    def drop_words(self, inputs_TB: Tensor) -> Tensor:
        """Replace some of the decoder's inputs by the unknown token, but never the start token."""
        if self.word_dropout == 0:
            return inputs_TB
        drawn_TB = torch.rand(self.steps, self.rows, device=inputs_TB.device)[: len(inputs_TB), self.shard]
        return torch.where((drawn_TB < self.word_dropout) & (inputs_TB != BOS_ID), UNK_ID, inputs_TB)

    def drop(self, values_TBE: Tensor) -> Tensor:
        """Apply dropout (Srivastava 2014): zero some values and scale the others so that the mean stays."""
        if self.dropout == 0:
            return values_TBE
        kept = values_TBE.new_empty(self.steps, self.rows, values_TBE.shape[2]).bernoulli_(1 - self.dropout)
        return values_TBE * kept[: len(values_TBE), self.shard].div_(1 - self.dropout)
