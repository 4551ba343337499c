"""Arithmetic of one step of a decode, with prepacked weights; see `handlers.decoding.folded`.

Shapes: M rows with padding, B of them, S slots, V tokens, W tokens padded to whole blocks, F numbers of a sequence's
state, E embedding, H hidden, G = 4 H gates.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from handlers.decoding.folded import FoldedDecoder, padded_outputs
from handlers.decoding.matmul import PackedLinear, Precision
from handlers.decoding.slots import TOKEN, Slots


class Products:
    """Products of a step.

    Args:
        folded: decoder with precomputed weights.
        precision: precision of the weights.
        output: product of the output.
    """

    def __init__(self, folded: FoldedDecoder, precision: Precision, output: PackedLinear) -> None:
        self._gates = PackedLinear(folded.hidden(), precision=precision, bound=0.5)
        self._projection = PackedLinear(folded.projection(), precision=precision, bound=0.5)
        self._output = output
        self.num_tokens = folded.config.vocabulary_size
        self.num_outputs = padded_outputs(self.num_tokens)

    def invariant_batch_size(self, count: int) -> int:
        """Return the smallest batch size from `count` on at which every product is batch-invariant."""
        rows = count
        while True:
            more = self._gates.invariant_batch_size(
                self._projection.invariant_batch_size(self._output.invariant_batch_size(rows))
            )
            if more == rows:
                return rows
            rows = more


class Step(Products):
    """Step of a decoder by torch alone: it advances sequences by one token."""

    def __init__(self, folded: FoldedDecoder, precision: Precision) -> None:
        super().__init__(folded, precision, PackedLinear(*folded.outputs(), precision=precision))
        self._gates_table_VG = folded.gates_table_VG

    def advance(self, slots: Slots) -> Tensor:
        """Take one LSTM step in place; return the output projection [M, E]."""
        token_M = torch.from_numpy(slots.state_FS[TOKEN]).to(slots.hidden_SH.device)
        gates_MG = self._gates(slots.hidden_SH)
        gates_MG += self._gates_table_VG.index_select(0, token_M)
        gates_MG += slots.gates_SG
        return self._move(slots, gates_MG.sigmoid_().chunk(4, dim=1))

    def advance_one(self, slots: Slots, token: int, gates_MG: Tensor, parts_4MH: Sequence[Tensor]) -> Tensor:
        """Take one LSTM step of a single sequence, with fewer calls than `advance`.

        Args:
            slots: slot of the sequence, and padding.
            token: last token of the sequence.
            gates_MG: memory that is overwritten.
            parts_4MH: views of its four parts.
        """
        torch.add(self._gates(slots.hidden_SH), self._gates_table_VG[token], out=gates_MG)
        gates_MG.add_(slots.gates_SG).sigmoid_()
        return self._move(slots, parts_4MH)

    def _move(self, slots: Slots, gates_4MH: Sequence[Tensor]) -> Tensor:
        """Write the next state by the gates' values; return the output projection."""
        input_MH, forget_MH, candidate_MH, output_MH = gates_4MH
        # 2 c' = f 2 c + 2 i (2 g - 1), and h' / 2 = o (2 sigmoid(2 c') - 1) / 2.
        cell_MH = slots.cell_SH.mul_(forget_MH).addcmul_(input_MH, candidate_MH, value=4).sub_(input_MH, alpha=2)
        torch.sigmoid(cell_MH, out=slots.hidden_SH).mul_(output_MH).sub_(output_MH, alpha=0.5)
        return self._projection(slots.hidden_SH).add_(slots.output_SE)

    def log2_odds(self, projected_ME: Tensor, count: int) -> Tensor:
        """Return base-2 logarithms of the next token's odds: [B, W], -inf beyond the vocabulary.

        Args:
            projected_ME: result of `advance`.
            count: number of leading rows to return.
        """
        return self._output(projected_ME)[:count]
