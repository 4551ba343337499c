"""Decoder p(x | z, a) of the CVAE: architecture only, for training (teacher forced) and the worker (step by step).

Shapes: B sequences, T steps, V tokens, E embedding, H hidden, Z latent vector, A genre embedding, C = Z + A context, G
genres of all sequences.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass(frozen=True, slots=True, kw_only=True)
class DecoderConfig:
    """Sizes of a decoder."""

    vocabulary_size: int
    num_genres: int
    """Number of genre labels, without "no genre"."""
    embedding_size: int
    hidden_size: int
    z_size: int
    genre_size: int

    def __post_init__(self) -> None:
        for name in ("vocabulary_size", "embedding_size", "hidden_size", "z_size", "genre_size"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        if self.num_genres < 0:
            raise ValueError(f"num_genres must not be negative, got {self.num_genres}")


class Decoder(nn.Module):
    """LSTM with the context <z, a> in its initial state, in the input of every step and in every output.

    The output matrix is the token embedding (Press and Wolf 2017, arXiv 1608.05859) behind a projection H + C -> E,
    which makes the largest product of a step E / H of its untied size. The context's part of the output lets z act on
    the words directly; an autoregressive decoder otherwise learns to ignore z.
    """

    def __init__(self, config: DecoderConfig) -> None:
        super().__init__()
        self.config = config
        context_size = config.z_size + config.genre_size
        self.token_embedding = nn.Embedding(config.vocabulary_size, config.embedding_size)
        # Row 0 is "no genre"; a song's genres are averaged.
        self.genre_embedding = nn.EmbeddingBag(config.num_genres + 1, config.genre_size, mode="mean")
        self.initial_state = nn.Linear(context_size, 2 * config.hidden_size)
        self.lstm = nn.LSTM(config.embedding_size + context_size, config.hidden_size)
        self.projection = nn.Linear(config.hidden_size + context_size, config.embedding_size)
        self.output_bias = nn.Parameter(torch.zeros(config.vocabulary_size))
        nn.init.normal_(self.token_embedding.weight, std=config.embedding_size**-0.5)

    def embed_genres(self, genres_G: Tensor, offsets_B: Tensor) -> Tensor:
        """Return the mean genre embedding a of each sequence, [B, A]; no genre is given as the single index 0."""
        embedded: Tensor = self.genre_embedding(genres_G, offsets_B)
        return embedded

    def start(self, context_BC: Tensor) -> tuple[Tensor, Tensor]:
        """Return the initial hidden and cell state, [B, H] each."""
        hidden_BH, cell_BH = torch.tanh(self.initial_state(context_BC)).chunk(2, dim=1)
        return hidden_BH.contiguous(), cell_BH.contiguous()

    def forward(self, inputs_TBE: Tensor, context_BC: Tensor) -> Tensor:
        """Return the teacher-forced outputs before the product with the vocabulary.

        Args:
            inputs_TBE: embeddings of the token before each target, the start mark first.
            context_BC: context <z, a>.

        Returns:
            [T, B, E]; `logits` turns it into logits over the vocabulary.
        """
        hidden_BH, cell_BH = self.start(context_BC)
        context_TBC = context_BC.expand(inputs_TBE.shape[0], -1, -1)
        hidden_TBH, _ = self.lstm(
            torch.cat((inputs_TBE, context_TBC), dim=2), (hidden_BH.unsqueeze(0), cell_BH.unsqueeze(0))
        )
        projected: Tensor = self.projection(torch.cat((hidden_TBH, context_TBC), dim=2))
        return projected

    def logits(self, projected: Tensor) -> Tensor:
        """Return the logits of the vocabulary: [..., E] -> [..., V]."""
        return nn.functional.linear(projected, self.token_embedding.weight, self.output_bias)
