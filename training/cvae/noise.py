"""What disturbs a training step: dropout, hidden words, the noise of z. Drawn for a whole batch, whoever has its rows.

Shapes: B rows, T steps, E embedding, Z thought vector.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from handlers.model.vocabulary import BOS_ID, UNK_ID


def mixed_seed(*parts: int) -> int:
    """A seed for torch that differs wherever any of the parts does.

    Of 32 bits: torch's generator for the CPU looks at no more, so a seed shifted above a step would be no seed at all.
    """
    return int(np.random.SeedSequence(parts).generate_state(1)[0])


@dataclass(frozen=True, slots=True, kw_only=True)
class StepNoise:
    """Draws from torch's generator, which the step has seeded, in the order of the calls.

    Random numbers are made for all rows of the batch, of which this process keeps its share: so they are the same
    however many processes share the batch. Making them costs little next to a step's products.
    """

    rows: int
    """Of the whole batch."""
    steps: int
    """Of the whole batch."""
    share: slice
    """The rows that are here."""
    dropout: float
    word_dropout: float

    def normal(self, like_BZ: Tensor) -> Tensor:
        """Standard normal numbers of a tensor's shape."""
        return torch.randn(self.rows, like_BZ.shape[1], device=like_BZ.device)[self.share]

    def hide(self, inputs_TB: Tensor) -> Tensor:
        """Some of the decoder's inputs replaced by the unknown mark; never the start."""
        if self.word_dropout == 0:
            return inputs_TB
        drawn_TB = torch.rand(self.steps, self.rows, device=inputs_TB.device)[: len(inputs_TB), self.share]
        return torch.where((drawn_TB < self.word_dropout) & (inputs_TB != BOS_ID), UNK_ID, inputs_TB)

    def drop(self, values_TBE: Tensor) -> Tensor:
        """Dropout (Srivastava 2014): some values zero, the others raised so that the mean stays."""
        if self.dropout == 0:
            return values_TBE
        kept = values_TBE.new_empty(self.steps, self.rows, values_TBE.shape[2]).bernoulli_(1 - self.dropout)
        return values_TBE * kept[: len(values_TBE), self.share].div_(1 - self.dropout)
