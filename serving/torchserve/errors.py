"""Errors of TorchServe as a worker host."""

from __future__ import annotations

from serving.errors import WorkerHostError


class TorchServeError(WorkerHostError):
    """TorchServe does not start, does not answer, or refuses a version."""


class JavaMissingError(TorchServeError):
    """TorchServe has no Java runtime."""
