"""Generator of the LC-GAN, which moves a latent vector towards a topic: architecture only.

Shapes: B sequences, Z latent vector, A genre embedding, K topics.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass(frozen=True, slots=True, kw_only=True)
class GeneratorConfig:
    """Sizes of a generator."""

    z_size: int
    genre_size: int
    num_topics: int
    hidden_size: int
    num_layers: int

    def __post_init__(self) -> None:
        for name in ("z_size", "genre_size", "num_topics", "hidden_size", "num_layers"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")


class Generator(nn.Module):
    """Gated move z' = (1 - g) z + g dz, g = sigmoid (Engel, Hoffman and Roberts 2017, arXiv 1711.05772, appendix).

    The inputs are z, the genres a and the target topics; only z is changed.
    """

    def __init__(self, config: GeneratorConfig) -> None:
        super().__init__()
        self.config = config
        layers: list[nn.Module] = []
        size = config.z_size + config.genre_size + config.num_topics
        for _ in range(config.num_layers):
            layers += [nn.Linear(size, config.hidden_size), nn.ReLU()]
            size = config.hidden_size
        self.body = nn.Sequential(*layers)
        self.head = nn.Linear(size, 2 * config.z_size)

    def forward(self, z_BZ: Tensor, genres_BA: Tensor, target_BK: Tensor) -> Tensor:
        """Return the moved latent vectors z', [B, Z].

        Args:
            z_BZ: latent vectors, from the prior or the encoder.
            genres_BA: mean genre embeddings.
            target_BK: wanted share of each topic; each row sums to 1.
        """
        move_BZ, gate_BZ = self.head(self.body(torch.cat((z_BZ, genres_BA, target_BK), dim=1))).chunk(2, dim=1)
        gate_BZ = torch.sigmoid(gate_BZ)
        moved_BZ: Tensor = (1 - gate_BZ) * z_BZ + gate_BZ * move_BZ
        return moved_BZ
