"""A run that also remembers its curves, so that they can be drawn."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from training.tracking.port import Run, TrainedOn


class RecordingRun:
    """Passes everything on to another run and keeps the points of its curves."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._points: dict[str, list[tuple[int, float]]] = {}

    @property
    def run_id(self) -> str:
        """The other run's id."""
        return self._run.run_id

    def curve(self, name: str) -> list[tuple[int, float]]:
        """Points (step, value) logged under a name, in their order."""
        return list(self._points.get(name, []))

    def log_params(self, params: Mapping[str, Any]) -> None:
        """See `Run.log_params`."""
        self._run.log_params(params)

    def log_metrics(self, metrics: Mapping[str, float], *, step: int | None = None) -> None:
        """See `Run.log_metrics`."""
        self._run.log_metrics(metrics, step=step)
        if step is not None:
            for name, value in metrics.items():
                self._points.setdefault(name, []).append((step, value))

    def log_file(self, path: Path, folder: str = "") -> None:
        """See `Run.log_file`."""
        self._run.log_file(path, folder)

    def set_tags(self, tags: Mapping[str, str]) -> None:
        """See `Run.set_tags`."""
        self._run.set_tags(tags)

    def log_dataset(self, dataset: TrainedOn) -> None:
        """See `Run.log_dataset`."""
        self._run.log_dataset(dataset)
