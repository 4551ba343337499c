"""Batch renormalisation: batch normalisation that does in training what it will do afterwards.

Shapes: B rows, Z thought vector.
"""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor, nn

from training.cvae.parallel import SINGLE_PROCESS, ProcessGroup

_EPS: Final = 1e-10
"""torch's 1e-5 is above the variance that an encoder's means start with, and would leave them next to nothing."""
_MOMENTUM: Final = 0.01
"""A batch holds sentences of one length, so only the statistics of many batches are those of the corpus."""
_MOST_SCALE: Final = 3.0
_MOST_SHIFT: Final = 3.0


class BatchRenorm(nn.Module):
    """Values with mean 0 and variance 1 per dimension over the corpus (Ioffe 2017, arXiv 1702.03275, equation 4).

    Plain batch normalisation takes each batch's own mean out. Batches of like lengths differ in theirs, so the decoder
    would see other z in training than afterwards. Here a batch's values are those of the running statistics, while
    gradients flow as in batch normalisation, which is what keeps a dimension from dying.
    """

    running_mean: Tensor
    running_var: Tensor
    num_batches_tracked: Tensor

    def __init__(self, size: int, *, process_group: ProcessGroup = SINGLE_PROCESS) -> None:
        """Start without statistics; `process_group` are the processes that share a batch's rows."""
        super().__init__()
        self._process_group = process_group
        self.register_buffer("running_mean", torch.zeros(size))
        self.register_buffer("running_var", torch.ones(size))
        self.register_buffer("num_batches_tracked", torch.tensor(0))

    def forward(self, values_BZ: Tensor) -> Tensor:
        """[B, Z] -> [B, Z]; in training the batch has to hold two rows at least."""
        if not self.training:
            return (values_BZ - self.running_mean) * torch.rsqrt(self.running_var + _EPS)
        count = self._process_group.all_reduce(values_BZ.new_tensor(float(len(values_BZ))))
        mean_Z = self._process_group.all_reduce(values_BZ.sum(dim=0)) / count
        variance_Z = self._process_group.all_reduce(((values_BZ - mean_Z) ** 2).sum(dim=0)) / count
        normalised_BZ = (values_BZ - mean_Z) * torch.rsqrt(variance_Z + _EPS)
        scale_Z, shift_Z = self._follow(mean_Z.detach(), variance_Z.detach())
        return normalised_BZ * scale_Z + shift_Z

    def _follow(self, mean_Z: Tensor, variance_Z: Tensor) -> tuple[Tensor, Tensor]:
        """Take a batch into the running statistics; what leads from the batch's normalised values to theirs."""
        self.num_batches_tracked += 1
        # The plain average at first: there is nothing else to go by.
        momentum = max(_MOMENTUM, 1.0 / int(self.num_batches_tracked))
        self.running_mean.lerp_(mean_Z, momentum)
        # The variance of the corpus is that within batches and that of their means.
        self.running_var.lerp_(variance_Z + (mean_Z - self.running_mean) ** 2, momentum)
        scale_Z = torch.sqrt((variance_Z + _EPS) / (self.running_var + _EPS))
        shift_Z = (mean_Z - self.running_mean) * torch.rsqrt(self.running_var + _EPS)
        return scale_Z.clamp(1 / _MOST_SCALE, _MOST_SCALE), shift_Z.clamp(-_MOST_SHIFT, _MOST_SHIFT)
