"""Loss of the output layer, most of the cost of a training token: chunked, or on a sampled vocabulary.

Shapes: P real tokens of a batch, C tokens of a chunk, E embedding, V tokens of the vocabulary, S tokens of a sample of
it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

_CHUNK: Final = 512
"""Tokens per chunk: 512 x 8,000 logits are 16 MB and fit the last-level cache; those of a batch are ten times that."""

_SAFE: Final = 60.0
"""Largest log-normaliser for which exp in single precision, which overflows at 88, is safe."""


class _LinearCrossEntropy(torch.autograd.Function):
    """Sum of -log softmax(hidden weight^T + bias)[target], with gradients computed while the logits are in the cache.

    torch has `linear_cross_entropy` since 2.12. This runs on 2.11, and on a CPU it took two thirds of the time.
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
            # In place, the logits become probabilities, and the probabilities the gradient.
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
        hidden_PE: inputs of the output layer.
        weight_VE: weight of the output layer.
        bias_V: bias of the output layer.
        targets_P: target tokens, each below V.
        bf16: compute the products in bfloat16; softmax and sum stay in single precision.

    Returns:
        A scalar, once differentiable in the first three arguments.
    """
    if bf16 or hidden_PE.is_cuda:  # on a GPU the logits of a batch fit, and one large kernel beats many small ones
        with torch.autocast(hidden_PE.device.type, torch.bfloat16, enabled=bf16):
            logits_PV = torch.nn.functional.linear(hidden_PE, weight_VE, bias_V)
        return torch.nn.functional.cross_entropy(logits_PV.float(), targets_P, reduction="sum")
    loss: Tensor = _LinearCrossEntropy.apply(hidden_PE, weight_VE, bias_V, targets_P)  # type: ignore[no-untyped-call]  # torch leaves it
    return loss


@torch.no_grad()
def target_log_probs(hidden_PE: Tensor, weight_VE: Tensor, bias_V: Tensor, targets_P: Tensor) -> Tensor:
    """Log-probabilities log softmax(hidden weight^T + bias)[target] in nats, [P], without gradients.

    Args:
        hidden_PE: inputs of the output layer.
        weight_VE: weight of the output layer.
        bias_V: bias of the output layer.
        targets_P: target tokens, each below V.
    """
    log_prob_P = torch.empty_like(hidden_PE[:, 0])
    weight_EV = weight_VE.T
    logits_CV = hidden_PE.new_empty(min(_CHUNK, len(hidden_PE)), len(weight_VE))
    for start in range(0, len(hidden_PE), _CHUNK):
        hidden_CE = hidden_PE[start : start + _CHUNK]
        targets_C1 = targets_P[start : start + _CHUNK].unsqueeze(1)
        part_CV = torch.addmm(bias_V, hidden_CE, weight_EV, out=logits_CV[: len(hidden_CE)])
        target_C = part_CV.gather(1, targets_C1).squeeze(1)
        # A language model's logits are far from the range where exp overflows. The usual subtraction of each row's
        # maximum takes two passes over all logits, so it is done only if it turns out to be needed.
        normaliser_C = part_CV.exp_().sum(dim=1).log_()
        if not bool((normaliser_C.abs() < _SAFE).all()):
            normaliser_C = torch.logsumexp(torch.addmm(bias_V, hidden_CE, weight_EV, out=part_CV), dim=1)
        log_prob_P[start : start + _CHUNK] = target_C - normaliser_C
    return log_prob_P


@dataclass(frozen=True, slots=True, kw_only=True)
class VocabularySample:
    """Tokens sampled from the vocabulary, with corrections that make the sample's normaliser unbiased."""

    tokens_S: Tensor
    """Ids of the sampled tokens, ascending."""
    correction_S: Tensor
    """Correction to add to each token's logit: -log of its inclusion probability, or 0 for the batch's own targets."""
    position_V: Tensor
    """Index of each token of the vocabulary in `tokens_S`; meaningless for a token that is not in the sample."""

    def positions(self, targets_P: Tensor) -> Tensor:
        """Return the indices of targets in `tokens_S`."""
        return self.position_V[targets_P]


class VocabularySampler:
    """Importance sampling of the vocabulary for a softmax's normaliser (Bengio and Senecal 2003).

    Each token is included independently with probability pi, which is 1 for frequent tokens and falls with the square
    root of the count; a batch's targets are always included. The sum of exp(logit_j) / pi_j over the sample is an
    unbiased estimate of the normaliser. Its variance is small because nearly all probability mass is on tokens with
    pi = 1.
    """

    def __init__(self, counts_V: np.ndarray, size: int) -> None:
        """Compute the inclusion probabilities.

        Args:
            counts_V: frequency of each token in the training split.
            size: expected size of a sample, without the targets.
        """
        weight_V = np.sqrt(counts_V + 1.0)
        low, high = 0.0, size / weight_V.min()
        for _ in range(60):  # bisection: the expected size grows with the factor
            factor = (low + high) / 2
            low, high = (factor, high) if np.minimum(1.0, factor * weight_V).sum() < size else (low, factor)
        self._inclusion_V = torch.from_numpy(np.minimum(1.0, high * weight_V)).float()

    def draw(self, targets_P: Tensor) -> VocabularySample:
        """Draw a sample that includes the targets, with torch's global generator."""
        inclusion_V = self._inclusion_V = self._inclusion_V.to(targets_P.device)
        chosen_V = torch.rand_like(inclusion_V) < inclusion_V
        correction_V = -inclusion_V.log()
        chosen_V[targets_P] = True
        correction_V[targets_P] = 0.0
        tokens_S = chosen_V.nonzero().squeeze(1)
        position_V = torch.cumsum(chosen_V, dim=0) - 1
        return VocabularySample(tokens_S=tokens_S, correction_S=correction_V[tokens_S], position_V=position_V)
