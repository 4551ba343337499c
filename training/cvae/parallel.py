"""Data-parallel training of one model by the processes that `torchrun` starts, each on its shard of every batch.

Every process draws the same batches and the same noise and keeps its shard of the rows. Losses and statistics are
summed over all processes, so the result does not depend on their number, apart from the order of the additions.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

import torch
import torch.distributed as dist
from torch import Tensor

from training.errors import RankLostError, SettingError

_TIMEOUT: Final = timedelta(days=1)
"""Maximum time a process waits for the others, long because they wait while rank 0 fits topics and writes files."""


@contextmanager
def _lost_ranks_reported() -> Iterator[None]:
    """Turn the backend's error about a lost process into one that says how to continue."""
    try:
        yield
    except RuntimeError as cause:  # gloo raises plain RuntimeError, and torch's errors are subclasses of it
        reason = str(cause).partition("\n")[0]
        raise RankLostError(
            f"another process of this training has ended ({reason}); see its output for the cause. Start all processes "
            "again: they continue from the last checkpoint"
        ) from cause


def _all_reduce_in_place(tensor: Tensor) -> Tensor:
    """Sum a tensor over processes, in place."""
    with _lost_ranks_reported():
        dist.all_reduce(tensor)
    return tensor


class _AllReduce(torch.autograd.Function):
    """Differentiable sum over processes; its gradient is the sum of the gradients of all processes."""

    @staticmethod
    def forward(ctx: Any, tensor: Tensor) -> Tensor:
        del ctx
        return _all_reduce_in_place(tensor.clone())

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        del ctx
        return _all_reduce_in_place(grad.clone())


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessGroup:
    """Process group of a training, as one rank sees it; with a single process, every exchange returns its input."""

    rank: int = 0
    world_size: int = 1

    @property
    def is_main(self) -> bool:
        """Whether this process has rank 0, which writes, tracks and registers."""
        return self.rank == 0

    def shard(self, rows: int) -> slice:
        """Rows of a batch that belong to this process; no shard is empty if `rows` is at least `world_size`."""
        return slice(rows * self.rank // self.world_size, rows * (self.rank + 1) // self.world_size)

    def all_reduce(self, tensor: Tensor) -> Tensor:
        """Sum over processes, differentiable in each process's summand."""
        total: Tensor = tensor if self.world_size == 1 else _AllReduce.apply(tensor)  # type: ignore[no-untyped-call]  # torch leaves it
        return total

    def all_reduce_gradients(self, parameters: Iterable[Tensor]) -> None:
        """Replace each gradient by its sum over processes, all of them in one exchange."""
        if self.world_size == 1:
            return
        with_gradient = [parameter for parameter in parameters if parameter.requires_grad]
        for parameter in with_gradient:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
        gradients = [parameter.grad for parameter in with_gradient if parameter.grad is not None]
        flat = _all_reduce_in_place(torch.cat([gradient.flatten() for gradient in gradients]))
        start = 0
        for gradient in gradients:
            gradient.copy_(flat[start : start + gradient.numel()].view_as(gradient))
            start += gradient.numel()

    def broadcast(self, value: float) -> float:
        """Return rank 0's value, for decisions that must be the same in every process."""
        return float(self.broadcast_object(value))

    def broadcast_object(self, content: Any) -> Any:
        """Return rank 0's object; those of other ranks are ignored."""
        if self.world_size == 1:
            return content
        box = [content if self.is_main else None]
        with _lost_ranks_reported():
            dist.broadcast_object_list(box)
        return box[0]


SINGLE_PROCESS: Final = ProcessGroup()


@contextmanager
def init_process_group(device: str) -> Iterator[tuple[ProcessGroup, str]]:
    """Join the process group that `torchrun` describes in the environment, if any, and leave it after the block.

    Args:
        device: `cpu`, or `cuda`, where every process takes the GPU of its local rank.

    Yields:
        The process group, and this process's device.

    Raises:
        SettingError: the device names a single GPU, but there are several processes.
        RankLostError: another process ended; raised by any exchange within the block.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield SINGLE_PROCESS, device
        return
    if ":" in device:
        raise SettingError(f"torchrun gives each process its own GPU: use --device cuda, not {device}")
    on_gpu = device == "cuda"
    if on_gpu:
        device = f"cuda:{os.environ.get('LOCAL_RANK', '0')}"
        torch.cuda.set_device(device)
    dist.init_process_group("nccl" if on_gpu else "gloo", timeout=_TIMEOUT)
    try:
        yield ProcessGroup(rank=dist.get_rank(), world_size=dist.get_world_size()), device
    finally:
        dist.destroy_process_group()
