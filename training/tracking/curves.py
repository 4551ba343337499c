"""Run that also keeps its curves, so that they can be drawn."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from typing_extensions import override

from training.tracking.port import Run, TrainedOn


class RecordingRun(Run):
    """Wrapper of a run that keeps the points of its curves."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._points: dict[str, list[tuple[int, float]]] = {}

    @property
    @override
    def run_id(self) -> str:
        return self._run.run_id

    def curve(self, name: str) -> list[tuple[int, float]]:
        """Return the points (step, value) that were logged under a name, in order."""
        return list(self._points.get(name, []))

    @override
    def log_params(self, params: Mapping[str, Any]) -> None:
        self._run.log_params(params)

    @override
    def log_metrics(self, metrics: Mapping[str, float], *, step: int | None = None) -> None:
        self._run.log_metrics(metrics, step=step)
        if step is not None:
            for name, value in metrics.items():
                self._points.setdefault(name, []).append((step, value))

    @override
    def log_file(self, path: Path, folder: str = "") -> None:
        self._run.log_file(path, folder)

    @override
    def set_tags(self, tags: Mapping[str, str]) -> None:
        self._run.set_tags(tags)

    @override
    def log_dataset(self, dataset: TrainedOn) -> None:
        self._run.log_dataset(dataset)

    @override
    def describe(self, text: str) -> None:
        self._run.describe(text)
