"""The arithmetic of a decode's step, with the weights as the step wants them.

What does not change from step to step is computed once: the table of the gates' input product per token (per model),
and the context's share of gates and outputs (per row). Logarithms are to base 2, since powers of 2 are cheaper than
powers of e, and tanh x is written 2 sigmoid(2x) - 1, which is cheaper than torch's tanh and lets one call do all gates.
The hidden state is kept as h / 2 and the cell as 2 c, which saves the multiplications by 2; the weights make up for it.

Shapes: B rows, M rows with padding, V tokens, W tokens padded to whole blocks, E embedding, H hidden, G = 4 H gates,
Z thought vector, A genre embedding, C = Z + A context, I inputs.
"""

from __future__ import annotations

import math
from typing import Final

import torch
from torch import Tensor

from handlers.decoder import Decoder
from handlers.products import Precision, Product
from handlers.sampler import BLOCK
from handlers.slots import TOKEN, Slots

_LOG2_E: Final = math.log2(math.e)
_PADDING: Final = 16
"""Rows are started in multiples of it, for the reason that `handlers.products` gives."""


class Step:
    """A decoder's weights, ready to take rows on by one token."""

    def __init__(self, decoder: Decoder, precision: Precision) -> None:
        config = decoder.config
        lstm = {name: tensor.detach() for name, tensor in decoder.lstm.named_parameters()}
        input_GI, hidden_GH = lstm["weight_ih_l0"].clone(), lstm["weight_hh_l0"].clone()
        bias_G = lstm["bias_ih_l0"] + lstm["bias_hh_l0"]
        candidates = slice(2 * config.hidden_size, 3 * config.hidden_size)
        for weight in (input_GI, hidden_GH, bias_G):
            weight[candidates] *= 2
        hidden_GH *= 2
        embedding_VE, projection_EI = decoder.token_embedding.weight.detach(), decoder.projection.weight.detach()
        self._decoder = decoder
        self._gates_table_VG = torch.addmm(bias_G, embedding_VE, input_GI[:, : config.embedding_size].T)
        self._gates_context_CG = input_GI[:, config.embedding_size :].T.contiguous()
        self._output_context_CE = projection_EI[:, config.hidden_size :].T.contiguous()
        self._gates = Product(hidden_GH, precision=precision, bound=0.5)
        self._projection = Product(2 * projection_EI[:, : config.hidden_size], precision=precision, bound=0.5)
        # Tokens beyond the vocabulary have no probability.
        missing = -len(embedding_VE) % BLOCK
        output_WE = torch.nn.functional.pad(embedding_VE * _LOG2_E, (0, 0, 0, missing))
        bias_W = torch.nn.functional.pad(decoder.output_bias.detach() * _LOG2_E, (0, missing), value=-math.inf)
        self._output = Product(output_WE, bias_W, precision=precision)
        self.num_tokens, self.num_outputs = len(embedding_VE), len(output_WE)

    def padded(self, count: int) -> int:
        """Rows to compute for `count` rows, so that each comes out as it does in any other batch."""
        rows = count
        while True:
            more = self._gates.padded(self._projection.padded(self._output.padded(rows)))
            if more == rows:
                return rows
            rows = more

    def start(self, context_BC: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Of new rows: h / 2 and 2 c [B, H], the context's share of gates [B, G] and output [B, E]."""
        rows = len(context_BC)
        context_MC = torch.nn.functional.pad(context_BC, (0, 0, 0, -rows % _PADDING))
        hidden_MH, cell_MH = self._decoder.start(context_MC)
        gates_MG = context_MC @ self._gates_context_CG
        output_ME = torch.addmm(self._decoder.projection.bias, context_MC, self._output_context_CE)
        return hidden_MH[:rows] / 2, cell_MH[:rows] * 2, gates_MG[:rows], output_ME[:rows]

    def advance(self, slots: Slots) -> Tensor:
        """One LSTM step of the rows, in place; returns the output projection [M, E]."""
        token_M = torch.from_numpy(slots.counts_FS[TOKEN]).to(slots.hidden_SH.device)
        gates_MG = self._gates(slots.hidden_SH)
        gates_MG += self._gates_table_VG.index_select(0, token_M)
        gates_MG += slots.gates_SG
        input_MH, forget_MH, candidate_MH, output_MH = gates_MG.sigmoid_().chunk(4, dim=1)
        # 2 c' = f 2 c + 2 i (2 g - 1), and h' / 2 = o (2 sigmoid(2 c') - 1) / 2.
        cell_MH = slots.cell_SH.mul_(forget_MH).addcmul_(input_MH, candidate_MH, value=4).sub_(input_MH, alpha=2)
        torch.sigmoid(cell_MH, out=slots.hidden_SH).mul_(output_MH).sub_(output_MH, alpha=0.5)
        return self._projection(slots.hidden_SH).add_(slots.output_SE)

    def log2_odds(self, projected_ME: Tensor, count: int) -> Tensor:
        """Base-2 logarithms of the next token's odds: [B, W], of which what is beyond the vocabulary is -inf.

        Args:
            projected_ME: what `advance` gives.
            count: rows that are looked at, the first ones.
        """
        return self._output(projected_ME)[:count]
