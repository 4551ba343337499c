"""Architecture of the topic predictor and the discriminator; the worker's generator is in `handlers.model.generator`.

Shapes: N labelled vectors, B rows, Z latent vector, A genre embedding, K topics, K1 = K + 1.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


def _perceptron(inputs: int, hidden: int, layers: int, outputs: int) -> nn.Sequential:
    modules: list[nn.Module] = []
    size = inputs
    for _ in range(layers):
        modules += [nn.Linear(size, hidden), nn.ReLU()]
        size = hidden
    return nn.Sequential(*modules, nn.Linear(size, outputs))


class TopicPredictor(nn.Module):
    """Predictor of a decoded sentence from <z, a>: log T(topic | z, a), and the rarity of its word pairs.

    It is the differentiable substitute for decoding, LDA and counting.
    """

    rarity_mean: Tensor
    rarity_scale: Tensor

    def __init__(self, z_size: int, genre_size: int, num_topics: int, *, hidden_size: int, num_layers: int) -> None:
        super().__init__()
        self.body = _perceptron(z_size + genre_size, hidden_size, num_layers, num_topics + 1)
        self.register_buffer("rarity_mean", torch.zeros(()))
        self.register_buffer("rarity_scale", torch.ones(()))

    def standardise(self, rarity_N: Tensor) -> None:
        """Set mean and scale of the rarity from a sample, so that the network's own output is of order 1."""
        self.rarity_mean.copy_(rarity_N.mean())
        self.rarity_scale.copy_(rarity_N.std().clamp_min(1e-6))

    def forward(self, z_BZ: Tensor, genres_BA: Tensor) -> tuple[Tensor, Tensor]:
        """Predict the log-probabilities of the topics [B, K] and the rarity [B]."""
        output_BK1 = self.body(torch.cat((z_BZ, genres_BA), dim=1))
        return torch.log_softmax(output_BK1[:, :-1], dim=1), self.rarity_mean + self.rarity_scale * output_BK1[:, -1]


class AcceptancePredictor(nn.Module):
    """Predictor of the value of a decoded sentence from <z, a>, the differentiable substitute for decoding it."""

    def __init__(self, z_size: int, genre_size: int, *, hidden_size: int, num_layers: int) -> None:
        super().__init__()
        self.body = _perceptron(z_size + genre_size, hidden_size, num_layers, 1)

    def forward(self, z_BZ: Tensor, genres_BA: Tensor) -> Tensor:
        """Predict the log odds that a curator accepts the sentence, [B]."""
        log_odds: Tensor = self.body(torch.cat((z_BZ, genres_BA), dim=1))
        return log_odds.squeeze(1)


class Discriminator(nn.Module):
    """Discriminator D(z, a, y) of vectors that real sentences with topic y and genres a are encoded to."""

    def __init__(self, z_size: int, genre_size: int, num_topics: int, *, hidden_size: int, num_layers: int) -> None:
        super().__init__()
        self.body = _perceptron(z_size + genre_size + num_topics, hidden_size, num_layers, 1)

    def forward(self, z_BZ: Tensor, genres_BA: Tensor, topic_BK: Tensor) -> Tensor:
        """Return the log-odds of being real, [B]."""
        logits: Tensor = self.body(torch.cat((z_BZ, genres_BA, topic_BK), dim=1))
        return logits.squeeze(1)
