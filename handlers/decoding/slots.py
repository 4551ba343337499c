"""Memory of a decode: a slot for each sequence in it, and as many for sequences that wait.

Shapes: S slots, R some of them, H hidden, G = 4 H gates, E embedding, T token positions, D random numbers of a step, N
sampling settings, F numbers of a sequence's state.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from handlers.decoding.arrays import IntArray
from handlers.decoding.sampling.filters import SETTINGS, SamplingSettings

TOKEN, LENGTH, MAX_TOKENS, GRAMMAR, NODE, WORD_STATE = range(6)
"""Places in a sequence's state: its last token, its length and maximum length, its state of the grammar, its node
of the lexicon, and from there on the four numbers of its word state (`handlers.decoding.constraints`)."""


@dataclass(slots=True, kw_only=True)
class Slots:
    """State of some sequences: that of the model on its device, the rest in NumPy arrays."""

    hidden_SH: Tensor
    cell_SH: Tensor
    gates_SG: Tensor
    """The context's share of the gates."""
    output_SE: Tensor
    """The context's share of the output projection."""
    uniforms_STD: NDArray[np.float64]
    tokens_ST: IntArray
    settings_SN: NDArray[np.float64]
    state_FS: IntArray
    """State by place first, so that each place is contiguous."""
    log2_prob_S: NDArray[np.float64]
    log2_probs_ST: NDArray[np.float64]
    """Logarithm of each drawn token's probability, of which `log2_prob_S` is the sum."""

    def __len__(self) -> int:
        return len(self.log2_prob_S)

    @property
    def rows_per_slot(self) -> int:
        """Rows of the model in a slot: 2 where it holds an unconditional branch as well."""
        return self.hidden_SH.shape[1] if self.hidden_SH.ndim > _ONE_ROW else 1

    def resized(self, size: int) -> Slots:
        """Return a number of empty slots of the same kind."""

        def zeros(like: Tensor) -> Tensor:
            return like.new_zeros((size, *like.shape[1:]))

        return Slots(
            hidden_SH=zeros(self.hidden_SH),
            cell_SH=zeros(self.cell_SH),
            gates_SG=zeros(self.gates_SG),
            output_SE=zeros(self.output_SE),
            settings_SN=np.zeros((size, self.settings_SN.shape[1])),
            uniforms_STD=np.zeros((size, *self.uniforms_STD.shape[1:])),
            tokens_ST=np.zeros((size, self.tokens_ST.shape[1]), dtype=np.int64),
            state_FS=np.zeros((len(self.state_FS), size), dtype=np.int64),
            log2_prob_S=np.zeros(size),
            log2_probs_ST=np.zeros((size, self.tokens_ST.shape[1])),
        )

    def part(self, count: int) -> Slots:
        """Return the first slots, which share memory with these."""
        return Slots(
            **{name: getattr(self, name)[:count] for name in (*_TENSORS, *_ARRAYS)},
            state_FS=self.state_FS[:, :count],
        )

    def copy(self, to: Sequence[int], other: Slots, of: Sequence[int]) -> None:
        """Overwrite some slots with some of other slots, or of these."""
        device = self.hidden_SH.device
        to_R, of_R = torch.tensor(to, device=device), torch.tensor(of, device=device)
        for name in _TENSORS:
            getattr(self, name).index_copy_(0, to_R, getattr(other, name).index_select(0, of_R))
        for name in _ARRAYS:
            getattr(self, name)[to] = getattr(other, name)[of]
        self.state_FS[:, to] = other.state_FS[:, of]

    def settings(self) -> SamplingSettings:
        """Return the settings by which the sequences' tokens are drawn."""
        return SamplingSettings(**dict(zip(SETTINGS, self.settings_SN.T.copy(), strict=True)))


_ONE_ROW: Final = 2
"""Dimensions of the state where a slot has one row."""
_TENSORS: Final = ("hidden_SH", "cell_SH", "gates_SG", "output_SE")
_ARRAYS: Final = ("settings_SN", "uniforms_STD", "tokens_ST", "log2_prob_S", "log2_probs_ST")
