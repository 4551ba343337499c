"""Mixture of encoded sentences, from which a served model draws its latent vectors.

Shapes: N sentences, Z latent vector.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import torch

from handlers.model.latent import LatentMixture
from training.cvae.batches import EncodedSentences
from training.cvae.model import Cvae

NUM_COMPONENTS: Final = 8_192
"""Maximum number of sentences; 2 MB of a bundle with 32 dimensions."""
_ENCODED_AT_ONCE: Final = 256


@torch.no_grad()
def encoded_mixture(
    model: Cvae, train: EncodedSentences, *, seed: int, num_components: int = NUM_COMPONENTS
) -> LatentMixture:
    """Return the mixture of the posteriors of some sentences, drawn without replacement.

    Args:
        model: trained CVAE, on the CPU.
        train: training split.
        seed: seed of the choice of sentences.
        num_components: maximum number of sentences.
    """
    chosen_N = np.random.default_rng(seed).permutation(len(train))[:num_components]
    # Of similar lengths, so that little is padding; the order of the components does not matter.
    chosen_N = chosen_N[np.argsort(train.lengths_N[chosen_N], kind="stable")]
    means, scales = [], []
    for start in range(0, len(chosen_N), _ENCODED_AT_ONCE):
        posterior = model.encode(train.batch(chosen_N[start : start + _ENCODED_AT_ONCE]))
        means.append(posterior.mu)
        scales.append((0.5 * posterior.log_variance).exp())
    return LatentMixture(means_NZ=torch.cat(means), scales_NZ=torch.cat(scales))
