"""What judges the LC-GAN's generator, which itself lives in `handlers.generator` for the worker. Architecture only.

Shapes: B rows, Z thought vector, A genre embedding, K topics.
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
    """log T(topic | z, a): what the sentence decoded from <z, a> will be about. The differentiable stand-in for LDA."""

    def __init__(self, z_size: int, genre_size: int, num_topics: int, *, hidden_size: int, num_layers: int) -> None:
        super().__init__()
        self.body = _perceptron(z_size + genre_size, hidden_size, num_layers, num_topics)

    def forward(self, z_BZ: Tensor, genres_BA: Tensor) -> Tensor:
        """Log-probabilities of the topics, [B, K]."""
        return torch.log_softmax(self.body(torch.cat((z_BZ, genres_BA), dim=1)), dim=1)


class Discriminator(nn.Module):
    """D(z, a, y): whether z is one that a real sentence with topic y and genres a was encoded to."""

    def __init__(self, z_size: int, genre_size: int, num_topics: int, *, hidden_size: int, num_layers: int) -> None:
        super().__init__()
        self.body = _perceptron(z_size + genre_size + num_topics, hidden_size, num_layers, 1)

    def forward(self, z_BZ: Tensor, genres_BA: Tensor, topic_BK: Tensor) -> Tensor:
        """Log-odds of being real, [B]."""
        logits: Tensor = self.body(torch.cat((z_BZ, genres_BA, topic_BK), dim=1))
        return logits.squeeze(1)
