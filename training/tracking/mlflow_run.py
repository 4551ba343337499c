"""MLflow adapter of the `Run` port."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import mlflow
from mlflow import MlflowClient
from mlflow.entities import Dataset, DatasetInput, InputTag
from typing_extensions import override

from training.tracking.faults import translating
from training.tracking.port import Run, TrainedOn

MAX_TAG: Final = 5000
"""Characters that MLflow keeps of a tag's value, and of a description."""


@translating
class MlflowRun(Run):
    """MLflow run, addressed by its id, so that others may be open."""

    def __init__(self, client: MlflowClient, run_id: str) -> None:
        self._client = client
        self._run_id = run_id

    @property
    @override
    def run_id(self) -> str:
        return self._run_id

    @override
    def log_params(self, params: Mapping[str, Any]) -> None:
        for key, value in params.items():
            self._client.log_param(self._run_id, key, str(value)[:500])

    @override
    def log_metrics(self, metrics: Mapping[str, float], *, step: int | None = None) -> None:
        # Points of curves are written in the background until the run ends. Other figures may be the last thing that a
        # process logs, and MLflow drops what its threads have not written by then.
        mlflow.log_metrics(dict(metrics), step=step, run_id=self._run_id, synchronous=step is None)

    @override
    def log_file(self, path: Path, folder: str = "") -> None:
        self._client.log_artifact(self._run_id, str(path), folder or None)

    @override
    def set_tags(self, tags: Mapping[str, str]) -> None:
        for key, value in tags.items():
            self._client.set_tag(self._run_id, key, value)

    @override
    def log_dataset(self, dataset: TrainedOn) -> None:
        entity = Dataset(
            name=dataset.name,
            digest=dataset.sha256[:12],
            source_type="local",
            source=json.dumps({"uri": dataset.source}),
            profile=json.dumps(dict(dataset.profile)),
        )
        use = DatasetInput(dataset=entity, tags=[InputTag(key="mlflow.data.context", value="training")])
        self._client.log_inputs(self._run_id, datasets=[use])

    @override
    def describe(self, text: str) -> None:
        self._client.set_tag(self._run_id, "mlflow.note.content", text[:MAX_TAG])
