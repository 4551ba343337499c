"""Counts of what the watch and the supervisor replaced, by reason."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum


class WorkerFault(StrEnum):
    """Reason for which workers were replaced."""

    STOPPED = "stopped"
    """A signal held the worker."""
    HUNG = "hung"
    """The worker did nothing while requests waited."""
    MISSING = "missing"
    """The host had fewer workers than it was asked for."""


class HostFault(StrEnum):
    """Reason for which the process that runs the workers (with TorchServe its JVM) was replaced."""

    ENDED = "ended"
    """It had ended."""
    HUNG = "hung"
    """It answered nothing and did nothing."""
    FOLDER = "folder"
    """Its folder had been removed, so that no worker could start."""


@dataclass(slots=True, kw_only=True)
class Replacements:
    """Replacements since the service started, by reason; every reason is there, with zero before the first."""

    workers: dict[str, int] = field(default_factory=lambda: {fault.value: 0 for fault in WorkerFault})
    host: dict[str, int] = field(default_factory=lambda: {fault.value: 0 for fault in HostFault})
