"""Data-parallel training of one model by the processes that `torchrun` starts, each on its shard of every batch.

Every process draws the same batches and the same noise and keeps its shard of the rows. Losses and statistics are
summed over all processes, so the result does not depend on their number, apart from the order of the additions.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed.distributed_c10d import PrefixStore
from torch.distributed.rendezvous import rendezvous

from training.cvae.meeting import Meeting, choose_interface, lost_ranks_reported
from training.errors import SettingError

EXCHANGE_TIMEOUT: Final = timedelta(minutes=5)
"""Maximum time of an exchange. A process is late for one while rank 0 writes a checkpoint, or because its host is gone;
what takes rank 0 longer is announced, see `training.cvae.meeting`."""


def _all_reduce_in_place(tensor: Tensor) -> Tensor:
    """Sum a tensor over processes, in place."""
    with lost_ranks_reported():
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
    meeting: Meeting | None = None

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
        return float(self._broadcast(value))

    def broadcast_object(self, content: Any) -> Any:
        """Return rank 0's object, whenever it has one; those of other ranks are ignored."""
        if self.meeting is not None:
            self.meeting.announce()
        return self._broadcast(content)

    def _broadcast(self, content: Any) -> Any:
        if self.world_size == 1:
            return content
        box = [content if self.is_main else None]
        with lost_ranks_reported():
            dist.broadcast_object_list(box)
        return box[0]

    def agree(self, facts: Mapping[str, Any]) -> None:
        """Check that all processes were started with the same facts, before any of them works.

        Raises:
            SettingError: they were not; every process raises it.
            RankLostError: another process ended before it could say.
        """
        if self.meeting is not None:
            self.meeting.agree(facts)


SINGLE_PROCESS: Final = ProcessGroup()


@contextmanager
def init_process_group(
    device: str, waiting: Callable[[str], None] = lambda _: None
) -> Iterator[tuple[ProcessGroup, str]]:
    """Join the process group that `torchrun` describes in the environment, if any, and leave it after the block.

    Args:
        device: `cpu`, or `cuda`, where every process takes the GPU of its local rank.
        waiting: called with a line for the user while other processes have not started yet.

    Yields:
        The process group, and this process's device.

    Raises:
        SettingError: the device names a single GPU, but there are several processes; or the first host's address is
            one that others cannot reach.
        RankLostError: another process did not start, or ended; raised by any exchange within the block.
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
    choose_interface()
    with lost_ranks_reported():
        shared, rank, world_size = next(rendezvous("env://", timeout=EXCHANGE_TIMEOUT))
    # The store outlives the processes that `torchrun --max-restarts` replaces: what they left is not for the next ones.
    store = PrefixStore(f"attempt-{os.environ.get('TORCHELASTIC_RESTART_COUNT', '0')}", shared)
    meeting = Meeting(store=PrefixStore("deephypebot", store), rank=rank, world_size=world_size)
    meeting.join(waiting)
    with lost_ranks_reported():
        dist.init_process_group(
            "nccl" if on_gpu else "gloo",
            store=PrefixStore("exchanges", store),
            rank=rank,
            world_size=world_size,
            timeout=EXCHANGE_TIMEOUT,
        )
    try:
        yield ProcessGroup(rank=rank, world_size=world_size, meeting=meeting), device
    except BaseException as fault:
        meeting.tell_failure(fault)
        raise
    finally:
        dist.destroy_process_group()
