"""What an archive's model-config.yaml says under `handler`, and how many threads a worker may use."""

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
        ValueError: a number of threads that there cannot be. (Slots and precision are the engine's to judge.)
    """

    threads: int = 0
    """Threads of a decode; 0 leaves them to `Threads`."""
    slots: int | None = None
    """Rows that are decoded at a time; what suits the device by default."""
    precision: Precision | None = None
    """How weights are kept; what decodes fastest by default."""
    kernels: bool | None = None
    """Whether a GPU's kernels decode; where they suit by default."""

    def __post_init__(self) -> None:
        if self.threads < 0:
            raise ValueError(f"handler.threads must not be negative, got {self.threads}")

    @classmethod
    def from_yaml(cls, document: Mapping[str, Any] | None) -> Self:
        """Options of a model-config.yaml as TorchServe has read it; what it leaves out, or at null, has its default.

        Raises:
            ValueError: an option that there is not, or a value that it cannot have.
            TypeError: a number, or a yes or no, that is none.
        """
        section = (document or {}).get("handler") or {}
        given = {name: value for name, value in section.items() if value is not None}
        known = [field.name for field in fields(cls)]
        if unknown := sorted(set(given) - set(known)):
            raise ValueError(f"handler.{unknown[0]} is no option of model-config.yaml; there is {', '.join(known)}")
        for name in ("threads", "slots"):
            if not isinstance(given.get(name, 0), int) or isinstance(given.get(name, 0), bool):
                raise TypeError(f"handler.{name} must be a whole number, got {given[name]!r}")
        if not isinstance(given.get("kernels", False), bool):
            raise TypeError(f"handler.kernels must be true or false, got {given['kernels']!r}")
        if "precision" in given:
            given["precision"] = Precision(given["precision"])
        return cls(**given)


class Threads:
    """Threads that this worker may use: its share of the cores.

    How many workers share them changes as versions come and go, so whoever starts workers keeps each one's share in a
    file, whose path is in the environment. Without it a worker knows only of those of its own version.

    Args:
        options: their `threads` beats everything else.
        num_workers: workers of this version.
    """

    def __init__(self, options: WorkerOptions, *, num_workers: int) -> None:
        self._fixed = options.threads
        path = os.environ.get(THREADS_FILE_VARIABLE)
        self._file = Path(path) if path else None
        self._otherwise = max(1, num_processors() // max(1, num_workers))

    def share(self) -> int:
        """How many they are now; at least 1."""
        if self._fixed or self._file is None:
            return self._fixed or self._otherwise
        try:
            return max(1, int(self._file.read_text()))
        except (OSError, ValueError):  # not written yet, or by somebody else
            return self._otherwise
