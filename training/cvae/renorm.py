"""Batch renormalisation: batch normalisation that computes the same in training as in evaluation.

Shapes: B rows, Z latent vector.
"""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor, nn

from training.cvae.parallel import SINGLE_PROCESS, ProcessGroup

_EPS: Final = 1e-10
"""Constant added to variances; torch's 1e-5 exceeds the initial variance of an encoder's means and would shrink it."""
_MOMENTUM: Final = 0.01
"""Weight of a batch in the running statistics; small, since a batch holds sentences of similar lengths only."""
_MAX_SCALE: Final = 3.0
_MAX_SHIFT: Final = 3.0


class BatchRenorm(nn.Module):
    """Normalisation to mean 0 and variance 1 per dimension over the corpus (Ioffe 2017, arXiv 1702.03275, equation 4).

    Plain batch normalisation subtracts each batch's own mean. Batches of similar lengths have different means, so the
    decoder would get other z in training than in evaluation. Here the values are normalised by the running statistics,
    while gradients flow as in batch normalisation, which keeps every dimension in use.
    """

    running_mean: Tensor
    running_var: Tensor
    num_batches_tracked: Tensor

    def __init__(self, size: int, *, process_group: ProcessGroup = SINGLE_PROCESS) -> None:
        """Start without statistics; the processes of `process_group` shard a batch."""
        super().__init__()
        self._process_group = process_group
        self.register_buffer("running_mean", torch.zeros(size))
        self.register_buffer("running_var", torch.ones(size))
        self.register_buffer("num_batches_tracked", torch.tensor(0))

    def forward(self, values_BZ: Tensor) -> Tensor:
        """Normalise values [B, Z]; in training the batch needs at least two rows."""
        if not self.training:
            return (values_BZ - self.running_mean) * torch.rsqrt(self.running_var + _EPS)
        count = self._process_group.all_reduce(values_BZ.new_tensor(float(len(values_BZ))))
        mean_Z = self._process_group.all_reduce(values_BZ.sum(dim=0)) / count
        variance_Z = self._process_group.all_reduce(((values_BZ - mean_Z) ** 2).sum(dim=0)) / count
        normalised_BZ = (values_BZ - mean_Z) * torch.rsqrt(variance_Z + _EPS)
        scale_Z, shift_Z = self._update_statistics(mean_Z.detach(), variance_Z.detach())
        return normalised_BZ * scale_Z + shift_Z

    def _update_statistics(self, mean_Z: Tensor, variance_Z: Tensor) -> tuple[Tensor, Tensor]:
        """Update the running statistics; return scale and shift from the batch's normalised values to theirs."""
        self.num_batches_tracked += 1
        # A plain average over the first batches.
        momentum = max(_MOMENTUM, 1.0 / int(self.num_batches_tracked))
        self.running_mean.lerp_(mean_Z, momentum)
        # The variance over the corpus is the variance within batches plus the variance of their means.
        self.running_var.lerp_(variance_Z + (mean_Z - self.running_mean) ** 2, momentum)
        scale_Z = torch.sqrt((variance_Z + _EPS) / (self.running_var + _EPS))
        shift_Z = (mean_Z - self.running_mean) * torch.rsqrt(self.running_var + _EPS)
        return scale_Z.clamp(1 / _MAX_SCALE, _MAX_SCALE), shift_Z.clamp(-_MAX_SHIFT, _MAX_SHIFT)
