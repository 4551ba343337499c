"""Options of a worker: the section `handler` of an archive's model-config.yaml, and its share of the cores."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Self

from foundation.processors import num_processors
from handlers.contract import THREADS_FILE_VARIABLE
from handlers.decoding.matmul import Precision


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerOptions:
    """Options of a worker.

    Raises:
        ValueError: the number of threads is negative. (The engine checks slots and precision.)
    """

    threads: int = 0
    """Number of threads of a decode; 0 stands for the worker's share, see `Threads`."""
    slots: int | None = None
    """Number of sequences that are decoded at a time; None stands for the device's default."""
    precision: Precision | None = None
    """Precision of the weights; None stands for the fastest on the device."""
    kernels: bool | None = None
    """Whether to decode with the GPU kernels; None stands for wherever they can run."""
    compiled: bool | None = None
    """Whether a processor decodes with the kernels that numba compiles; None stands for wherever numba is installed.
    With true a worker without it does not load, so that no worker writes other texts by the same seeds."""

    def __post_init__(self) -> None:
        if self.threads < 0:
            raise ValueError(f"handler.threads must not be negative, got {self.threads}")

    @classmethod
    def from_yaml(cls, document: Mapping[str, Any] | None) -> Self:
        """Read the options from the parsed model-config.yaml; an absent or null option has its default.

        Raises:
            ValueError: an option is unknown, or its value is out of range.
            TypeError: an integer or boolean option has another type.
        """
        section = (document or {}).get("handler") or {}
        given = {name: value for name, value in section.items() if value is not None}
        known = [field.name for field in fields(cls)]
        if unknown := sorted(set(given) - set(known)):
            raise ValueError(f"unknown option handler.{unknown[0]} in model-config.yaml; known are {', '.join(known)}")
        for name in ("threads", "slots"):
            if not isinstance(given.get(name, 0), int) or isinstance(given.get(name, 0), bool):
                raise TypeError(f"handler.{name} must be an integer, got {given[name]!r}")
        for name in ("kernels", "compiled"):
            if not isinstance(given.get(name, False), bool):
                raise TypeError(f"handler.{name} must be true or false, got {given[name]!r}")
        if "precision" in given:
            given["precision"] = Precision(given["precision"])
        return cls(**given)


class Threads:
    """Number of threads that this worker may use: its share of the cores.

    The number of workers changes as versions are loaded and removed, so the service that starts them writes each
    worker's share to a file and puts its path into the environment. Without that file, the cores are divided by the
    workers of this version.

    Args:
        options: options of the worker; `threads`, if set, overrides the share.
        num_workers: number of workers of this version.
    """

    def __init__(self, options: WorkerOptions, *, num_workers: int) -> None:
        self._fixed = options.threads
        path = os.environ.get(THREADS_FILE_VARIABLE)
        self._file = Path(path) if path else None
        self._default = max(1, num_processors() // max(1, num_workers))

    def share(self) -> int:
        """Return the current number of threads, at least 1."""
        if self._fixed or self._file is None:
            return self._fixed or self._default
        try:
            return max(1, int(self._file.read_text()))
        except (OSError, ValueError):  # not written yet, or by another program
            return self._default
