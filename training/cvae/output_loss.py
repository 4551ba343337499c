"""The output layer's loss, which is most of what a training token costs: chunked, and on a sampled vocabulary.

Shapes: P real tokens of a batch, E embedding, V tokens of the vocabulary, S tokens of a sample of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

_CHUNK: Final = 512
"""Rows of logits at once: 512 x 8,000 are 16 MB, which the last-level cache holds; a batch's are ten times that."""

_SAFE: Final = 60.0
"""Logarithms of sums of exponentials up to this size lose nothing to single precision, whose exp ends at 88."""


class _LinearCrossEntropy(torch.autograd.Function):
    """Sum of -log softmax(hidden weight^T + bias)[target], with its gradients made while the logits are in the cache.

    torch has `linear_cross_entropy` from 2.12 on; this runs on 2.11, and on a CPU took two thirds of its time.
    """

    @staticmethod
    def forward(ctx: Any, hidden_PE: Tensor, weight_VE: Tensor, bias_V: Tensor, targets_P: Tensor) -> Tensor:
        grad_hidden_PE = torch.empty_like(hidden_PE)
        grad_weight_VE, grad_bias_V = torch.zeros_like(weight_VE), torch.zeros_like(bias_V)
        total = hidden_PE.new_zeros((), dtype=torch.float64)
        for start in range(0, len(hidden_PE), _CHUNK):
            hidden_CE = hidden_PE[start : start + _CHUNK]
            targets_C1 = targets_P[start : start + _CHUNK].unsqueeze(1)
            grad_CV = torch.addmm(bias_V, hidden_CE, weight_VE.T)
            highest_C1 = grad_CV.amax(dim=1, keepdim=True)
            total += (highest_C1 - grad_CV.gather(1, targets_C1)).sum(dtype=torch.float64)
            # From here on the logits become probabilities, and those the gradient, all in place.
            grad_CV.sub_(highest_C1).exp_()
            normaliser_C1 = grad_CV.sum(dim=1, keepdim=True)
            total += normaliser_C1.log().sum(dtype=torch.float64)
            grad_CV.div_(normaliser_C1)
            grad_CV.scatter_add_(1, targets_C1, grad_CV.new_full((1, 1), -1.0).expand_as(targets_C1))
            torch.mm(grad_CV, weight_VE, out=grad_hidden_PE[start : start + _CHUNK])
            grad_weight_VE.addmm_(grad_CV.T, hidden_CE)
            grad_bias_V += grad_CV.sum(dim=0)
        ctx.save_for_backward(grad_hidden_PE, grad_weight_VE, grad_bias_V)
        return total.to(hidden_PE.dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        return (*(grad * saved for saved in ctx.saved_tensors), None)


def linear_cross_entropy(
    hidden_PE: Tensor, weight_VE: Tensor, bias_V: Tensor, targets_P: Tensor, *, bf16: bool = False
) -> Tensor:
    """Cross-entropy in nats, summed over tokens, of logits = hidden weight^T + bias.

    Args:
        hidden_PE: what the output matrix is applied to.
        weight_VE: output matrix.
        bias_V: of the output.
        targets_P: the token that came, each below V.
        bf16: make the products in bfloat16; softmax and sum stay in single precision.

    Returns:
        A scalar; differentiable once in the first three.
    """
    if bf16 or hidden_PE.is_cuda:  # on a GPU the logits of a batch fit, and one large kernel beats many small ones
        with torch.autocast(hidden_PE.device.type, torch.bfloat16, enabled=bf16):
            logits_PV = torch.nn.functional.linear(hidden_PE, weight_VE, bias_V)
        return torch.nn.functional.cross_entropy(logits_PV.float(), targets_P, reduction="sum")
    loss: Tensor = _LinearCrossEntropy.apply(hidden_PE, weight_VE, bias_V, targets_P)  # type: ignore[no-untyped-call]  # torch leaves it
    return loss


@torch.no_grad()
def target_log_probs(hidden_PE: Tensor, weight_VE: Tensor, bias_V: Tensor, targets_P: Tensor) -> Tensor:
    """Logarithms of softmax(hidden weight^T + bias)[target] in nats, [P]; no gradients, as few passes as can be.

    Args:
        hidden_PE: what the output matrix is applied to.
        weight_VE: output matrix.
        bias_V: of the output.
        targets_P: the token that came, each below V.
    """
    log_prob_P = torch.empty_like(hidden_PE[:, 0])
    weight_EV = weight_VE.T
    logits_CV = hidden_PE.new_empty(min(_CHUNK, len(hidden_PE)), len(weight_VE))
    for start in range(0, len(hidden_PE), _CHUNK):
        hidden_CE = hidden_PE[start : start + _CHUNK]
        targets_C1 = targets_P[start : start + _CHUNK].unsqueeze(1)
        part_CV = torch.addmm(bias_V, hidden_CE, weight_EV, out=logits_CV[: len(hidden_CE)])
        target_C = part_CV.gather(1, targets_C1).squeeze(1)
        # Logits of a model of words are far from where exp leaves single precision, so the usual subtraction of each
        # row's largest one, two passes over all of them, is made only if it turns out to be needed.
        normaliser_C = part_CV.exp_().sum(dim=1).log_()
        if not bool((normaliser_C.abs() < _SAFE).all()):
            normaliser_C = torch.logsumexp(torch.addmm(bias_V, hidden_CE, weight_EV, out=part_CV), dim=1)
        log_prob_P[start : start + _CHUNK] = target_C - normaliser_C
    return log_prob_P


@dataclass(frozen=True, slots=True, kw_only=True)
class VocabularySample:
    """Some tokens, and what their logits are raised by so that the sample's normaliser is right on average."""

    tokens_S: Tensor
    """Ids, ascending."""
    raise_S: Tensor
    """-log of the probability with which a token came into the sample; 0 for the batch's own targets."""
    position_V: Tensor
    """Of each token of the vocabulary in `tokens_S`; of no meaning for one that is not there."""

    def positions(self, targets_P: Tensor) -> Tensor:
        """Where in `tokens_S` some of the targets are."""
        return self.position_V[targets_P]


class VocabularySampler:
    """Draws part of the vocabulary for the normaliser of a softmax (Bengio and Senecal 2003, importance sampling).

    Every token comes in by itself with probability pi, which is 1 for frequent ones and falls with the square root of
    the count; a batch's targets are always in. sum_j exp(logit_j) / pi_j over the sample is an unbiased estimate of the
    normaliser, and its variance is small because nearly all probability is in the tokens with pi = 1.
    """

    def __init__(self, counts_V: np.ndarray, size: int) -> None:
        """Set the probabilities.

        Args:
            counts_V: how often the training has each token.
            size: tokens that a sample has on average, targets not counted.
        """
        weight_V = np.sqrt(counts_V + 1.0)
        low, high = 0.0, size / weight_V.min()
        for _ in range(60):  # bisection: the expected size grows with the factor
            factor = (low + high) / 2
            low, high = (factor, high) if np.minimum(1.0, factor * weight_V).sum() < size else (low, factor)
        self._inclusion_V = torch.from_numpy(np.minimum(1.0, high * weight_V)).float()

    def draw(self, targets_P: Tensor) -> VocabularySample:
        """A sample for some targets, by torch's global generator."""
        inclusion_V = self._inclusion_V = self._inclusion_V.to(targets_P.device)
        chosen_V = torch.rand_like(inclusion_V) < inclusion_V
        raise_V = -inclusion_V.log()
        chosen_V[targets_P] = True
        raise_V[targets_P] = 0.0
        tokens_S = chosen_V.nonzero().squeeze(1)
        position_V = torch.cumsum(chosen_V, dim=0) - 1
        return VocabularySample(tokens_S=tokens_S, raise_S=raise_V[tokens_S], position_V=position_V)
