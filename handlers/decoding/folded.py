"""Folded weights of a decoder: everything that is the same in each step is computed once.

The gates' input product of each token depends on the model alone; the context's share of gates and outputs depends on
the sequence. Logarithms are to base 2, since powers of 2 are cheaper than powers of e, and tanh x is written
2 sigmoid(2x) - 1, so that all gates are one function. The hidden state is kept as h / 2 and the cell as 2 c, which
saves the multiplications by 2; the weights make up for it.

Shapes: B rows, M rows with padding, V tokens, W tokens padded to whole blocks, E embedding, H hidden, G = 4 H gates,
Z latent vector, A genre embedding, C = Z + A context, I inputs.
"""

from __future__ import annotations

import math
from typing import Final, NamedTuple

import torch
from torch import Tensor

from handlers.model.decoder import Decoder

_LOG2_E: Final = math.log2(math.e)

PADDING: Final = 16
"""Multiple to which a CPU pads the rows that it starts, so that they round alike in any batch; see
`handlers.decoding.matmul`."""
BLOCK: Final = 64
"""Number of tokens in a block of the output. A draw sums up the blocks first."""


def padded_outputs(num_tokens: int, block: int = BLOCK) -> int:
    """Return a number of tokens padded to whole blocks.

    >>> padded_outputs(8000), padded_outputs(8001)
    (8000, 8064)
    """
    return -(-num_tokens // block) * block


class Started(NamedTuple):
    """State of sequences before their first token."""

    hidden_BH: Tensor
    """h / 2."""
    cell_BH: Tensor
    """2 c."""
    gates_BG: Tensor
    """The context's share of the gates."""
    output_BE: Tensor
    """The context's share of the output projection, its bias included."""


class FoldedDecoder:
    """Folded weights of one decoder.

    Args:
        decoder: source of the weights; it is not changed.
        padding: multiple to which the rows of a start are padded.
    """

    def __init__(self, decoder: Decoder, *, padding: int = PADDING) -> None:
        config = decoder.config
        self._decoder, self._padding = decoder, padding
        self.config = config
        input_GI, bias_G = self._lstm("weight_ih_l0"), self._lstm("bias_ih_l0") + self._lstm("bias_hh_l0")
        input_GE, input_GC = input_GI[:, : config.embedding_size], input_GI[:, config.embedding_size :]
        self.gates_table_VG = torch.addmm(bias_G, decoder.token_embedding.weight.detach(), input_GE.T)
        self._gates_context_CG = input_GC.T.contiguous()
        self._output_context_CE = decoder.projection.weight.detach()[:, config.hidden_size :].T.contiguous()

    def hidden(self) -> Tensor:
        """Return the weights from h / 2 to the input, forget, candidate and output gates: [G, H]."""
        return 2 * self._lstm("weight_hh_l0")

    def projection(self) -> Tensor:
        """Return the weights from h / 2 to the output projection: [E, H]."""
        return 2 * self._decoder.projection.weight.detach()[:, : self.config.hidden_size]

    def outputs(self, block: int = BLOCK) -> tuple[Tensor, Tensor]:
        """Return weights and bias of the output in bits, [W, E] and [W]; tokens beyond the vocabulary have odds of 0.

        Args:
            block: number of which W is a multiple.
        """
        embedding_VE, bias_V = self._decoder.token_embedding.weight.detach(), self._decoder.output_bias.detach()
        missing = padded_outputs(len(embedding_VE), block) - len(embedding_VE)
        output_WE = torch.nn.functional.pad(embedding_VE * _LOG2_E, (0, 0, 0, missing))
        return output_WE, torch.nn.functional.pad(bias_V * _LOG2_E, (0, missing), value=-math.inf)

    def start(self, context_BC: Tensor) -> Started:
        """Return the state of new sequences, given <z, a>."""
        rows = len(context_BC)
        context_MC = torch.nn.functional.pad(context_BC, (0, 0, 0, -rows % self._padding))
        hidden_MH, cell_MH = self._decoder.start(context_MC)
        gates_MG = context_MC @ self._gates_context_CG
        output_ME = torch.addmm(self._decoder.projection.bias, context_MC, self._output_context_CE)
        return Started(hidden_MH[:rows] / 2, cell_MH[:rows] * 2, gates_MG[:rows], output_ME[:rows])

    @property
    def _candidates(self) -> slice:
        """Slice of the candidate gate, the only one with a tanh."""
        return slice(2 * self.config.hidden_size, 3 * self.config.hidden_size)

    def _lstm(self, name: str) -> Tensor:
        """Return a copy of one of the LSTM's parameters, for gates that are all sigmoids."""
        parameter: Tensor = getattr(self._decoder.lstm, name).detach().clone()
        parameter[self._candidates] *= 2
        return parameter
