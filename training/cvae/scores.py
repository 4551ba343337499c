"""Scores of a CVAE on held-out sentences: the evidence lower bound (ELBO) and its parts.

Shapes: B rows, Z latent vector, M mixture components, D sentences, N = D.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from torch import Tensor

from training.cvae.batches import Batch, EncodedSentences
from training.cvae.model import Cvae, Posterior

MIXTURE_SIZE: Final = 4096
"""Posteriors in the mixture that approximates q(z); its logarithm, 8.3 nats, bounds the mutual information."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CvaeScores:
    """Scores on held-out sentences, in nats per sentence unless stated otherwise."""

    elbo: float
    reconstruction: float
    kl: float
    mutual_information: float
    """E log q(z | x) - E log q(z), q(z) a mixture of `MIXTURE_SIZE` posteriors (Hoffman and Johnson 2016)."""
    active_units: int
    """Number of dimensions of z whose posterior mean has a variance of at least 0.01 (Burda 2016)."""
    perplexity_bound: float
    """Upper bound on perplexity: exp(-ELBO per token), including end tokens."""
    bits_per_character: float

    def metrics(self, prefix: str) -> dict[str, float]:
        """Return the scores as metrics by name."""
        return {f"{prefix}.{name}": float(getattr(self, name)) for name in self.__slots__}


@torch.no_grad()
def score_cvae(model: Cvae, sentences: EncodedSentences, *, batch_size: int, device: str = "cpu") -> CvaeScores:
    """Compute ELBO and its parts with one z per sentence, drawn from q(z | x) with a fixed seed."""
    model.eval()
    generator = torch.Generator(device="cpu").manual_seed(0)
    log_prob = kl = 0.0
    means: list[Tensor] = []
    log_variances: list[Tensor] = []
    for _, batch in _batches(sentences, batch_size, device):
        posterior = model.encode(batch)
        z_BZ = _draw(posterior, generator)
        log_prob += float(model.token_log_probs(batch, z_BZ)[0].sum())
        kl += float(posterior.kl_per_dimension().sum())
        means.append(posterior.mu)
        log_variances.append(posterior.log_variance)
    count = max(len(sentences), 1)
    elbo = log_prob - kl
    mu_DZ, log_variance_DZ = torch.cat(means), torch.cat(log_variances)
    return CvaeScores(
        elbo=elbo / count,
        reconstruction=log_prob / count,
        kl=kl / count,
        mutual_information=mutual_information(Posterior(mu=mu_DZ, log_variance=log_variance_DZ)),
        active_units=int((mu_DZ.var(dim=0) >= 0.01).sum()) if len(sentences) > 1 else 0,
        perplexity_bound=math.exp(min(-elbo / max(sentences.num_tokens, 1), 50.0)),
        bits_per_character=-elbo / math.log(2) / max(sentences.num_characters, 1),
    )


@torch.no_grad()
def mutual_information(posterior: Posterior, *, mixture_size: int = MIXTURE_SIZE) -> float:
    """Estimate the mutual information I(x; z) under q, in nats, on `mixture_size` sentences in a fixed random order.

    log q(z) is the logarithm of the posteriors' mean density at z, so the estimate cannot exceed log(mixture_size).
    """
    generator = torch.Generator(device="cpu").manual_seed(0)
    chosen_M = torch.randperm(len(posterior.mu), generator=generator)[:mixture_size].to(posterior.mu.device)
    part = Posterior(mu=posterior.mu[chosen_M], log_variance=posterior.log_variance[chosen_M])
    z_MZ = _draw(part, generator)
    log_q_MM = _log_normals(z_MZ.double(), part.mu.double(), part.log_variance.double())
    log_mixture_M = torch.logsumexp(log_q_MM, dim=1) - math.log(len(z_MZ))
    return float((log_q_MM.diagonal() - log_mixture_M).mean())


def _batches(sentences: EncodedSentences, batch_size: int, device: str) -> Iterator[tuple[np.ndarray, Batch]]:
    order = np.argsort(sentences.lengths_N, kind="stable")
    for start in range(0, len(order), batch_size):
        indices = order[start : start + batch_size]
        yield indices, sentences.batch(indices).to(device)


def _draw(posterior: Posterior, generator: torch.Generator) -> Tensor:
    """Sample one z per row from q(z | x); the noise is drawn on the CPU, so that it is the same on every device."""
    return posterior.sample(torch.randn(posterior.mu.shape, generator=generator).to(posterior.mu.device))


def _log_normals(z_MZ: Tensor, mu_MZ: Tensor, log_variance_MZ: Tensor) -> Tensor:
    """Log-density of every z (rows) under every diagonal normal (columns), with the square expanded.

    Expanding replaces M x M x Z differences by two matrix products. It needs double precision, since large squares
    nearly cancel.
    """
    precision_MZ = torch.exp(-log_variance_MZ)
    squares_MM = (z_MZ**2) @ precision_MZ.T - 2 * z_MZ @ (mu_MZ * precision_MZ).T + (mu_MZ**2 * precision_MZ).sum(dim=1)
    return -0.5 * (squares_MM + (math.log(2 * math.pi) + log_variance_MZ).sum(dim=1))
