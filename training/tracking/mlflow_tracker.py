"""MLflow adapter of the `Tracker` port: runs, metrics, registered versions.

No other module of training imports mlflow, except `training.tracking.pyfunc_model`, which MLflow itself runs.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import mlflow
import mlflow.artifacts
import mlflow.pyfunc
from mlflow import MlflowClient
from mlflow.entities import Dataset, DatasetInput, InputTag
from mlflow.exceptions import MlflowException
from mlflow.models import ModelSignature
from mlflow.system_metrics.system_metrics_monitor import SystemMetricsMonitor
from mlflow.types import ColSpec, DataType, ParamSchema, ParamSpec, Schema
from mlflow.types.schema import Array
from sqlalchemy.exc import SQLAlchemyError
from typing_extensions import override

from handlers.contract import CHAMPION, PREVIOUS, CommentaryRequest, field_values
from handlers.model.bundle import MODEL_CARD
from training.errors import TerminatedError, TrackingError
from training.tracking.port import FetchedVersion, RegisteredVersion, Run, Tracker, TrainedOn, archive_tags
from training.worker_code import WORKER_PACKAGES

EXPERIMENT: Final = "deephypebot"
_MODEL_CODE: Final = Path(__file__).with_name("pyfunc_model.py")
_MAX_TAG: Final = 5000
"""Characters that MLflow keeps of a tag's value."""
_DEFAULTS: Final = CommentaryRequest(genres=())


def _param(name: str, default: Any) -> ParamSpec:
    """Return MLflow's specification of a sampling parameter, by the type of its default."""
    if isinstance(default, tuple):
        return ParamSpec(name, DataType.string, list(default), shape=(-1,))
    return ParamSpec(name, DataType.long if isinstance(default, int) else DataType.double, default)


SIGNATURE: Final = ModelSignature(
    inputs=Schema(
        [
            ColSpec(Array(DataType.string), "genres"),
            ColSpec(DataType.string, "artist", required=False),
            ColSpec(DataType.string, "title", required=False),
            ColSpec(DataType.string, "topic", required=False),
        ]
    ),
    outputs=Schema(
        [
            ColSpec(DataType.long, "request"),
            ColSpec(DataType.string, "text"),
            ColSpec(DataType.long, "token_count"),
            ColSpec(DataType.double, "log_prob"),
            ColSpec(DataType.long, "seed"),
            ColSpec(DataType.string, "finish_reason"),
        ]
    ),
    params=ParamSchema(
        [
            ParamSpec("num_samples", DataType.long, _DEFAULTS.num_samples),
            ParamSpec("seed", DataType.long, -1),
            *(_param(name, default) for name, default in field_values(_DEFAULTS.sampling).items()),
            ParamSpec("best_of", DataType.long, 0),
        ]
    ),
)


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


class MlflowTracker(Tracker):
    """Tracker with the runs of one experiment and the model registry of the same server."""

    registers = True

    def __init__(self, tracking_uri: str, *, artifacts: Path | None = None) -> None:
        """Connect, and make the experiment if it does not exist.

        Args:
            tracking_uri: tracking URI of MLflow: a database or a server.
            artifacts: folder for artifacts, used if the experiment is made in a database without a server.

        Raises:
            TrackingError: the store cannot be reached or opened.
        """
        logging.getLogger("mlflow").setLevel(logging.WARNING)
        # Alembic reports the migrations of a new database line by line.
        logging.getLogger("alembic").setLevel(logging.WARNING)
        try:
            mlflow.set_tracking_uri(tracking_uri)
            self._client = MlflowClient(tracking_uri)
            # A server keeps artifacts itself; a local folder would be out of reach of its other clients.
            if tracking_uri.startswith(("http://", "https://")):
                artifacts = None
            self._experiment_id = self._experiment(None if artifacts is None else artifacts.absolute().as_uri())
        except (MlflowException, SQLAlchemyError, ImportError, OSError) as cause:
            # MLflow does not wrap errors of a database or a missing driver, some of which have many lines.
            reason = str(cause).partition("\n")[0]
            raise TrackingError(f"MLflow at {tracking_uri} cannot be used: {reason}") from cause
        self._uri = tracking_uri
        # `mlflow run` made a run for the whole command, and ends it itself.
        self._project_run_id = os.environ.get("MLFLOW_RUN_ID", "")
        self._stack: list[str] = []

    @property
    @override
    def uri(self) -> str:
        return self._uri

    @override
    @contextmanager
    def run(self, name: str, *, tags: Mapping[str, str] | None = None) -> Iterator[Run]:
        run_id = self._create_run(name, dict(tags or {}))
        self._stack.append(run_id)
        status = "FAILED"
        # CPU, memory, disk, network and any GPUs, every 10 s, in the run's own charts.
        monitor = SystemMetricsMonitor(run_id, tracking_uri=self._uri)  # type: ignore[no-untyped-call]  # MLflow's
        monitor.start()  # type: ignore[no-untyped-call]  # MLflow leaves it untyped
        try:
            yield MlflowRun(self._client, run_id)
            status = "FINISHED"
        except (KeyboardInterrupt, TerminatedError):
            status = "KILLED"
            raise
        finally:
            self._stack.pop()
            monitor.finish()  # type: ignore[no-untyped-call]  # MLflow leaves it untyped
            mlflow.flush_async_logging()
            if run_id != self._project_run_id:
                self._client.set_terminated(run_id, status)

    @override
    def register(self, run_id: str, name: str, bundle: Path, *, tags: Mapping[str, str]) -> RegisteredVersion:
        run_id = self._known_run(run_id, name)
        with mlflow.start_run(run_id=run_id):
            logged = mlflow.pyfunc.log_model(
                name=name,
                python_model=str(_MODEL_CODE),
                artifacts={"bundle": str(bundle)},
                code_paths=[str(package) for package in WORKER_PACKAGES],
                signature=SIGNATURE,
                input_example=({"genres": ["dream pop"]}, {"num_samples": 2, "seed": 7}),
                pip_requirements=["mlflow", "numpy", "pandas", "safetensors", "torch"],
                metadata=dict(tags),
            )
        if not self._client.search_registered_models(f"name = '{name}'"):
            self._client.create_registered_model(name)
        created = self._client.create_model_version(
            name,
            logged.model_uri,
            run_id=run_id,
            model_id=logged.model_id,
            tags=dict(tags),
            description=(bundle / MODEL_CARD).read_text(encoding="utf-8"),
        )
        return RegisteredVersion(name=name, version=str(created.version), run_id=run_id)

    @override
    def fetch(self, uri: str, directory: Path) -> FetchedVersion:
        name, separator, chosen = uri.removeprefix("models:/").partition("@" if "@" in uri else "/")
        if not (uri.startswith("models:/") and name and chosen):
            raise TrackingError(f"{uri!r} does not name a version; write models:/cvae/1 or models:/lcgan@champion")
        try:
            if separator == "@":
                found = self._client.get_model_version_by_alias(name, chosen)
            else:
                found = self._client.get_model_version(name, chosen)
            exact = f"models:/{name}/{found.version}"
            folder = mlflow.artifacts.download_artifacts(artifact_uri=exact, dst_path=str(directory))
            run = self._client.get_run(str(found.run_id)).info
        except (MlflowException, OSError) as cause:
            reason = str(cause).partition("\n")[0]
            raise TrackingError(f"{uri} cannot be fetched from {self._uri}: {reason}") from cause
        return FetchedVersion(
            version=RegisteredVersion(name=name, version=str(found.version), run_id=str(found.run_id)),
            bundle=Path(folder) / "artifacts" / "bundle",
            tags=dict(found.tags),
            seconds=(run.end_time - run.start_time) / 1000 if run.end_time else None,
        )

    @override
    def reopen(self, run_id: str) -> Run:
        return MlflowRun(self._client, run_id)

    @override
    def attach_archive(self, version: RegisteredVersion, archive: Path, sha256: str) -> None:
        self._client.log_artifact(version.run_id, str(archive), "archives")
        tags = archive_tags(f"archives/{archive.name}", sha256)
        for key, value in tags.items():
            self._client.set_model_version_tag(version.name, version.version, key, value)
            self._client.set_tag(version.run_id, f"{version.name}.{key}", value)

    @override
    def champion(self, name: str) -> RegisteredVersion | None:
        try:
            found = self._client.get_model_version_by_alias(name, CHAMPION)
        except MlflowException:
            return None
        return RegisteredVersion(name=name, version=str(found.version), run_id=str(found.run_id))

    @override
    def tag_version(self, version: RegisteredVersion, tags: Mapping[str, str]) -> None:
        for key, value in tags.items():
            self._client.set_model_version_tag(version.name, version.version, key, value[:_MAX_TAG])

    @override
    def set_champion(self, version: RegisteredVersion, *, only_first: bool) -> bool:
        before = self._client.get_registered_model(version.name).aliases.get(CHAMPION)
        if only_first and before is not None:
            return False
        if before is not None and str(before) != version.version:
            # The version for `deephypebot models rollback`, written first, so that it never lacks its alias.
            self._client.set_registered_model_alias(version.name, PREVIOUS, str(before))
        self._client.set_registered_model_alias(version.name, CHAMPION, version.version)
        return True

    @override
    def has(self, name: str, version: str) -> bool:
        try:
            self._client.get_model_version(name, version)
        except MlflowException:
            return False
        return True

    def _create_run(self, name: str, tags: dict[str, str]) -> str:
        """Make a run within the innermost open one; under `mlflow run` the outermost run is the project's."""
        if self._stack:
            tags["mlflow.parentRunId"] = self._stack[-1]
        elif self._project_run_id:
            for key, value in tags.items():
                self._client.set_tag(self._project_run_id, key, value)
            return self._project_run_id
        return str(self._client.create_run(self._experiment_id, tags=tags, run_name=name).info.run_id)

    def _known_run(self, run_id: str, name: str) -> str:
        """Return the run, or a new one for a stage that was trained without this server."""
        try:
            return str(self._client.get_run(run_id).info.run_id) if run_id else self._registering_run(name)
        except MlflowException:
            return self._registering_run(name)

    def _registering_run(self, name: str) -> str:
        created = self._client.create_run(self._experiment_id, run_name=f"register {name}")
        self._client.set_terminated(created.info.run_id)
        return str(created.info.run_id)

    def _experiment(self, artifacts: str | None) -> str:
        if project := os.environ.get("MLFLOW_EXPERIMENT_ID"):
            return project
        found = self._client.get_experiment_by_name(EXPERIMENT)
        if found is not None:
            return str(found.experiment_id)
        return str(self._client.create_experiment(EXPERIMENT, artifact_location=artifacts))
