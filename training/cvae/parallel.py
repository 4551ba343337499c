"""Processes that train one model together, each on its share of every batch's rows; `torchrun` starts them.

Every process draws the same batches and the same noise and keeps its share, and sums go over all of them, so a training
does not depend on how many there are (but for the order in which numbers are added).
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
"""How long a process waits for the others: they wait while the first one fits topics and writes files."""


@contextmanager
def _lost_ranks_reported() -> Iterator[None]:
    """Say in the user's terms what the backend says when one of the processes is gone."""
    try:
        yield
    except RuntimeError as cause:  # gloo's errors have no type of their own, and those of torch are kinds of this one
        reason = str(cause).partition("\n")[0]
        raise RankLostError(
            f"another process of this training has ended ({reason}); its own output says why. Start them all again: "
            "they go on from the last checkpoint"
        ) from cause


def _all_reduce_in_place(tensor: Tensor) -> Tensor:
    """The sum over processes, in place."""
    with _lost_ranks_reported():
        dist.all_reduce(tensor)
    return tensor


class _AllReduce(torch.autograd.Function):
    """A sum over processes, whose gradient is the sum over processes of the gradients that each has for it."""

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
    """One of some processes, and what it can say to the others; alone, everything is as if there were no others."""

    rank: int = 0
    world_size: int = 1

    @property
    def is_main(self) -> bool:
        """Whether this is the process that writes, tracks and registers."""
        return self.rank == 0

    def shard(self, rows: int) -> slice:
        """The rows of a batch that are this process's: none is without one if there are as many rows as processes."""
        return slice(rows * self.rank // self.world_size, rows * (self.rank + 1) // self.world_size)

    def all_reduce(self, tensor: Tensor) -> Tensor:
        """The sum over processes; differentiable, for a loss that is itself the sum of what each process has of it."""
        total: Tensor = tensor if self.world_size == 1 else _AllReduce.apply(tensor)  # type: ignore[no-untyped-call]  # torch leaves it
        return total

    def all_reduce_gradients(self, parameters: Iterable[Tensor]) -> None:
        """Put the sum over processes in the place of each gradient; one exchange for all of them."""
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
        """The first process's value, for decisions that must be the same everywhere."""
        return float(self.broadcast_object(value))

    def broadcast_object(self, content: Any) -> Any:
        """What the first process has; the others' contents are not looked at."""
        if self.world_size == 1:
            return content
        box = [content if self.is_main else None]
        with _lost_ranks_reported():
            dist.broadcast_object_list(box)
        return box[0]


SINGLE_PROCESS: Final = ProcessGroup()


@contextmanager
def init_process_group(device: str) -> Iterator[tuple[ProcessGroup, str]]:
    """Join the processes that `torchrun` has started beside this one, if it has; leave them when the block ends.

    Args:
        device: `cpu`, or `cuda`, of which every process takes the one of its number on its host.

    Yields:
        The process_group, and this process's device.

    Raises:
        SettingError: a single GPU was asked for by number.
        RankLostError: from whatever is exchanged within the block, another process has ended.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield SINGLE_PROCESS, device
        return
    if ":" in device:
        raise SettingError(f"each process that torchrun starts takes a GPU of its own: say --device cuda, not {device}")
    on_gpu = device == "cuda"
    if on_gpu:
        device = f"cuda:{os.environ.get('LOCAL_RANK', '0')}"
        torch.cuda.set_device(device)
    dist.init_process_group("nccl" if on_gpu else "gloo", timeout=_TIMEOUT)
    try:
        yield ProcessGroup(rank=dist.get_rank(), world_size=dist.get_world_size()), device
    finally:
        dist.destroy_process_group()
