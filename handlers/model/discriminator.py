"""Discriminator of real sentences from a model's own samples, by which a worker ranks candidates.

A convolutional network over tokens (Kim 2014, arXiv 1408.5882): filters over 2, 3, 4 and 5 tokens, their maximum and
mean over the sentence, one hidden layer. It is small, since it is a part of every archive.

Shapes: B sentences, T positions, V tokens, E embedding, F filters of a width, K taps of a filter, C outputs of the
filters of all widths, D = 2 C pooled outputs, H hidden, W products of a token with all taps of all filters.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import torch
from torch import Tensor, nn

from handlers.model.vocabulary import BOS_ID, EOS_ID, PAD_ID

_SENTENCES_AT_ONCE: Final = 32
"""Sentences of similar lengths that are convolved at a time; their products stay in the cache."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DiscriminatorConfig:
    """Sizes of a discriminator."""

    vocabulary_size: int
    embedding_size: int
    num_filters: int
    """Number of filters of each width."""
    hidden_size: int
    widths: tuple[int, ...] = (2, 3, 4, 5)
    """Widths of the filters, in tokens."""

    def __post_init__(self) -> None:
        for name in ("vocabulary_size", "embedding_size", "num_filters", "hidden_size"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        if not self.widths or list(self.widths) != sorted(set(self.widths)) or self.widths[0] < 1:
            raise ValueError(f"widths must be ascending numbers of tokens, got {self.widths}")


class DiscriminatorNetwork(nn.Module):
    """Network of a discriminator: architecture only.

    Args:
        config: sizes.
        dropout: dropout of the embeddings and of the pooled outputs in training.
    """

    def __init__(self, config: DiscriminatorConfig, *, dropout: float = 0.0) -> None:
        super().__init__()
        self.config = config
        # The embedding of padding is zero, so that a sentence ends in the same way whatever is beside it.
        self.token_embedding = nn.Embedding(config.vocabulary_size, config.embedding_size, padding_idx=PAD_ID)
        self.filters = nn.ModuleDict(
            {str(width): nn.Conv1d(config.embedding_size, config.num_filters, width) for width in config.widths}
        )
        self.hidden = nn.Linear(2 * config.num_filters * len(config.widths), config.hidden_size)
        self.output = nn.Linear(config.hidden_size, 1)
        self.dropout = nn.Dropout(dropout)

    def forward(self, tokens_BT: Tensor) -> Tensor:
        """Return the log odds that each sentence is real, [B].

        Args:
            tokens_BT: tokens with start and end mark, then padding.
        """
        embedded_BTE = self.dropout(self.token_embedding(tokens_BT))
        # A filter starts at every token of a sentence, and may reach beyond its end.
        padded_BET = nn.functional.pad(embedded_BTE.transpose(1, 2), (0, self.config.widths[-1] - 1))
        size = tokens_BT.shape[1]
        outputs = [self.filters[str(width)](padded_BET[:, :, : size + width - 1]) for width in self.config.widths]
        real_BT = tokens_BT != PAD_ID
        outputs_BCT = torch.relu(torch.cat(outputs, dim=1)) * real_BT.unsqueeze(1)
        mean_BC = outputs_BCT.sum(dim=2) / real_BT.sum(dim=1, keepdim=True)
        pooled_BD = self.dropout(torch.cat((outputs_BCT.amax(dim=2), mean_BC), dim=1))
        log_odds_B1: Tensor = self.output(torch.relu(self.hidden(pooled_BD)))
        return log_odds_B1.squeeze(1)


class Discriminator:
    """Trained discriminator, whose value of a sentence is the same in every call, to the last bit.

    The products of all tokens with all filters are computed once, so that a convolution is a sum of rows of a table,
    element by element; sums over a sentence run in its order. Neither depends on the other sentences.

    Args:
        network: trained network; it must not be changed afterwards.
    """

    def __init__(self, network: DiscriminatorNetwork) -> None:
        self.network = network.eval().requires_grad_(requires_grad=False)

    @classmethod
    def of_tensors(cls, tensors: Mapping[str, Tensor]) -> Discriminator:
        """Return the discriminator with a network's tensors, whose shapes give the sizes.

        Raises:
            KeyError: a tensor is missing.
            ValueError: the sizes are not those of a discriminator.
            RuntimeError: the tensors do not fit each other.
        """
        widths = sorted(int(name.split(".")[1]) for name in tensors if name.startswith("filters.") and "bias" in name)
        if not widths:
            raise ValueError("a discriminator has filters, and there are none")
        config = DiscriminatorConfig(
            vocabulary_size=tensors["token_embedding.weight"].shape[0],
            embedding_size=tensors["token_embedding.weight"].shape[1],
            num_filters=len(tensors[f"filters.{widths[0]}.bias"]),
            hidden_size=len(tensors["hidden.bias"]),
            widths=tuple(widths),
        )
        network = DiscriminatorNetwork(config)
        network.load_state_dict(tensors, assign=True)
        return cls(network)

    def tensors(self) -> dict[str, Tensor]:
        """Return the network's tensors by name, for a file."""
        return {name: tensor.detach().cpu().contiguous() for name, tensor in self.network.state_dict().items()}

    @torch.inference_mode()
    def logits(self, sentences: Sequence[Sequence[int]]) -> list[float]:
        """Return the natural log odds that each sentence is real and not a sample of the model.

        Args:
            sentences: token ids, without end mark.
        """
        # Sentences of similar lengths need little padding.
        order = sorted(range(len(sentences)), key=lambda number: len(sentences[number]))
        log_odds = [0.0] * len(sentences)
        for start in range(0, len(order), _SENTENCES_AT_ONCE):
            part = order[start : start + _SENTENCES_AT_ONCE]
            pooled_BD = self._pooled([sentences[number] for number in part])
            for number, value in zip(part, self._log_odds(pooled_BD), strict=True):
                log_odds[number] = value
        return log_odds

    @cached_property
    def _products(self) -> Tensor:
        """Products of each token's embedding with each tap of the filters, [V, W]; a width's taps are adjacent."""
        weights = [self.network.filters[str(width)].get_parameter("weight") for width in self.network.config.widths]
        taps = [weight_FEK[:, :, tap].T for weight_FEK in weights for tap in range(weight_FEK.shape[2])]
        return self.network.token_embedding.weight @ torch.cat(taps, dim=1)

    @cached_property
    def _hidden(self) -> Tensor:
        """Weight of the hidden layer, [D, H]."""
        return self.network.hidden.weight.T.contiguous()

    def _pooled(self, sentences: Sequence[Sequence[int]]) -> Tensor:
        """Return maximum and mean of each filter's outputs, [B, D]."""
        config = self.network.config
        lengths = [len(sentence) + 2 for sentence in sentences]
        size = max(lengths)
        tokens_TB = torch.full((size + config.widths[-1] - 1, len(sentences)), PAD_ID)
        for number, sentence in enumerate(sentences):
            tokens_TB[: lengths[number], number] = torch.tensor((BOS_ID, *sentence, EOS_ID))
        products_TBW = self._products[tokens_TB]
        real_TB1 = (tokens_TB[:size] != PAD_ID).unsqueeze(2)
        largest, means = [], []
        first = 0
        for width in config.widths:
            bias_F = self.network.filters[str(width)].get_parameter("bias")
            outputs_TBF = bias_F.expand(size, len(sentences), -1).clone()
            for tap in range(width):
                outputs_TBF += products_TBW[tap : tap + size, :, first : first + config.num_filters]
                first += config.num_filters
            outputs_TBF.relu_().mul_(real_TB1)
            largest.append(outputs_TBF.amax(dim=0))
            # Position by position: a sum over a dimension may add in an order that depends on its size.
            sum_BF = outputs_TBF[0].clone()
            for output_BF in outputs_TBF[1:]:
                sum_BF += output_BF
            means.append(sum_BF / torch.tensor(lengths).unsqueeze(1))
        return torch.cat((*largest, *means), dim=1)

    def _log_odds(self, pooled_BD: Tensor) -> list[float]:
        # Not a matrix product, whose rounding may depend on the number of rows.
        hidden, output = self.network.hidden, self.network.output
        hidden_BH = torch.relu(_summed(pooled_BD.unsqueeze(2) * self._hidden) + hidden.bias).double()
        log_odds: list[float] = (_summed(hidden_BH * output.weight.double()) + output.bias.double()).tolist()
        return log_odds


def _summed(terms: Tensor) -> Tensor:
    """Sum over the second dimension by adding its halves, so that the order depends on nothing but its size."""
    while (size := terms.shape[1]) > 1:
        half = size // 2
        halved = terms[:, :half] + terms[:, half : 2 * half]
        terms = torch.cat((halved, terms[:, 2 * half :]), dim=1) if size % 2 else halved
    return terms[:, 0]
