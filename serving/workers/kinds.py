"""Kinds of worker hosts, as the command line names them."""

from __future__ import annotations

from enum import StrEnum


class WorkerHostKind(StrEnum):
    """Kind of what runs the workers."""

    TORCHSERVE = "torchserve"
    """TorchServe, a Java process that starts workers."""
    POOL = "pool"
    """The service itself, which starts workers without Java."""
