"""Distribution from which latent vectors are drawn: a mixture over encoded training sentences.

The decoder is trained on vectors of the posteriors q(z | x). Together, those of all sentences do not cover the prior
N(0, I) evenly, and from vectors between them the decoder writes worse sentences. Drawing from a density that is fitted
to encoded sentences after the training closes this gap (ex-post density estimation: Ghosh, Sajjadi, Vergari, Black and
Schölkopf 2020, arXiv 1903.12436). The density here is a mixture of some sentences' own posteriors (as the VampPrior of
Tomczak and Welling 2018 with real sentences in place of learned inputs).

Shapes: N sentences, B sequences, Z latent vector.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LatentMixture:
    """Mixture of normal distributions, each with the same weight.

    Attributes:
        means_NZ: posterior mean of each sentence, float32.
        scales_NZ: posterior standard deviation of each sentence, float32; above 0.
    """

    means_NZ: Tensor
    scales_NZ: Tensor

    def __post_init__(self) -> None:
        shapes = tuple(self.means_NZ.shape), tuple(self.scales_NZ.shape)
        if len(shapes[0]) != 2 or shapes[0][0] < 1 or shapes[0] != shapes[1]:
            raise ValueError(f"means and scales of latent vectors must be [N, Z] with N at least 1, got {shapes}")
        if not bool((self.scales_NZ > 0).all()):
            raise ValueError("scales of latent vectors must be above 0")

    def to(self, device: torch.device) -> LatentMixture:
        """Return the mixture on a device."""
        return LatentMixture(means_NZ=self.means_NZ.to(device), scales_NZ=self.scales_NZ.to(device))

    def __len__(self) -> int:
        return len(self.means_NZ)

    def vectors(self, components_B: Tensor, normals_BZ: Tensor) -> Tensor:
        """Return a latent vector of each component that is given by number: [B, Z].

        Args:
            components_B: component of each sequence, 0 to N - 1.
            normals_BZ: N(0, 1) numbers of each sequence.
        """
        return self.means_NZ.index_select(0, components_B) + self.scales_NZ.index_select(0, components_B) * normals_BZ

    def tensors(self) -> dict[str, Tensor]:
        """Return the tensors to store, by name."""
        return {"means": self.means_NZ.contiguous(), "scales": self.scales_NZ.contiguous()}

    @classmethod
    def of_tensors(cls, tensors: Mapping[str, Tensor]) -> LatentMixture:
        """Return the mixture of stored tensors.

        Raises:
            KeyError: a tensor is missing.
            ValueError: the tensors do not fit each other.
        """
        return cls(means_NZ=tensors["means"], scales_NZ=tensors["scales"])
