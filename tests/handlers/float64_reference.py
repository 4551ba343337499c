"""The decoder in float64, written out: what every path of the decode is held against."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence

import torch
from torch import Tensor

from handlers.decoding.matmul import Precision
from handlers.model.bundle import Bundle
from handlers.model.vocabulary import BOS_ID


def rounded(weight: Tensor, precision: Precision) -> Tensor:
    """A matrix as a precision keeps it, in float64."""
    if precision is Precision.INT8:
        scale = weight.double().abs().amax(dim=1, keepdim=True) / 127
        return (weight.double() / scale).round() * scale
    kinds = {Precision.FP32: torch.float32, Precision.FP16: torch.float16, Precision.BF16: torch.bfloat16}
    return weight.to(kinds[precision]).double()


State = tuple[Tensor, Tensor]


class Reference:
    """The decoder in float64, gate by gate, from the weights as a precision keeps them and nothing else."""

    def __init__(self, bundle: Bundle, precision: Precision) -> None:
        self.exact = copy.deepcopy(bundle.decoder).double()
        hidden = bundle.decoder.config.hidden_size
        self.lstm = {name: weight.double() for name, weight in bundle.decoder.lstm.named_parameters()}
        self.lstm["weight_hh_l0"] = rounded(dict(bundle.decoder.lstm.named_parameters())["weight_hh_l0"], precision)
        self.projection = rounded(bundle.decoder.projection.weight[:, :hidden], precision)
        # The engine keeps the output matrix in bits.
        self.output = rounded(bundle.decoder.token_embedding.weight * math.log2(math.e), precision) / math.log2(math.e)
        self.precision = precision

    def seen(self, inputs: Tensor, bound: float | None = None) -> Tensor:
        """What a product's inputs are rounded to; whole numbers up to a bound, or to a row's largest."""
        if self.precision is Precision.INT8:
            scale = inputs.abs().amax(dim=1, keepdim=True) if bound is None else bound
            return (inputs / scale * 63).round() / 63 * scale
        return inputs.bfloat16().double() if self.precision is Precision.BF16 else inputs

    def context(self, z_BZ: Tensor, genres: Sequence[tuple[int, ...]]) -> Tensor:
        embedded = [self.exact.embed_genres(torch.tensor(each or (0,)), torch.tensor([0])) for each in genres]
        return torch.cat((z_BZ.double(), torch.cat(embedded)), dim=1)

    def step(self, state: State, tokens: Tensor, context: Tensor) -> tuple[State, Tensor]:
        """The next state, and log p of every token, [B, V]."""
        (hidden, cell), exact = state, self.exact
        inputs = torch.cat((exact.token_embedding(tokens), context), dim=1)
        gates = inputs @ self.lstm["weight_ih_l0"].T + self.lstm["bias_ih_l0"] + self.lstm["bias_hh_l0"]
        gates = gates + self.seen(hidden, 1.0) @ self.lstm["weight_hh_l0"].T
        opened, kept, candidate, shown = gates.chunk(4, dim=1)
        cell = kept.sigmoid() * cell + opened.sigmoid() * candidate.tanh()
        hidden = shown.sigmoid() * cell.tanh()
        projected = self.seen(hidden, 1.0) @ self.projection.T + exact.projection.bias
        projected = projected + context @ exact.projection.weight[:, exact.config.hidden_size :].T
        return (hidden, cell), torch.log_softmax(self.seen(projected) @ self.output.T + exact.output_bias, dim=1)

    def log_probs(self, z_Z: Tensor, genres: tuple[int, ...], tokens: list[int]) -> Tensor:
        """log p of every token at every step, [T, V]."""
        context = self.context(z_Z.unsqueeze(0), [genres])
        state = self.exact.start(context)
        lines = []
        for token in [BOS_ID, *tokens[:-1]]:
            state, log_probs = self.step(state, torch.tensor([token]), context)
            lines.append(log_probs[0])
        return torch.stack(lines)
