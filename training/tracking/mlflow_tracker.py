"""MLflow adapter of the `Tracker` port: runs, metrics, registered versions.

No module of training imports mlflow outside of this package.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import mlflow
import mlflow.artifacts
from mlflow import MlflowClient
from mlflow.entities import LifecycleStage, RunInfo
from mlflow.exceptions import MlflowException
from mlflow.system_metrics.system_metrics_monitor import SystemMetricsMonitor
from mlflow.tracking.context.registry import resolve_tags
from typing_extensions import override

from foundation.model_versions import TRAINED_CHAMPION_TAG, VersionName, VersionNameError
from foundation.redaction import redacted
from handlers.contract import ARCHIVE_TAG, CHALLENGER, CHAMPION, PREVIOUS
from handlers.model.bundle import MODEL_CARD
from training.errors import TerminatedError, TrackingError
from training.tracking.artifact_repository import register_artifact_repository
from training.tracking.experiment import open_experiment, project_run
from training.tracking.faults import translated, translating
from training.tracking.logged_model import log_bundle
from training.tracking.mlflow_run import MAX_TAG, MlflowRun
from training.tracking.port import FetchedVersion, RegisteredVersion, Run, Tracker, archive_tags
from training.tracking.relocation import relocate

_MODELS: Final = {
    "cvae": "Writes one sentence of commentary on a song, given its genres: an LSTM conditional VAE (CVAE). The model "
    "card of each version has its sizes, figures and unselected samples.",
    "lcgan": "Writes one sentence of commentary on a song, given its genres: a CVAE whose latent vectors a generator "
    "(LC-GAN) shifts towards a desired topic. The model card of each version has its sizes, figures and unselected "
    "samples.",
}
"""Descriptions of the registered models."""
_UNKNOWN: Final = "RESOURCE_DOES_NOT_EXIST"
_ABSENT: Final = (_UNKNOWN, "INVALID_PARAMETER_VALUE")
"""Errors by which MLflow says that there is no such model, version or alias."""
_FOR_TRAINING: Final = "?workflowType=machine_learning"
"""End of the address of a page of runs: without it MLflow shows its menu for language models."""
_MAX_CARD: Final = 4000
"""Characters of a model card in a description; the summary before it has the rest."""


@translating
class MlflowTracker(Tracker):
    """Tracker with the runs of one experiment and the model registry of the same server."""

    registers = True

    def __init__(self, tracking_uri: str, *, artifacts: Path | None = None) -> None:
        """Connect, and make the experiment if it does not exist.

        Args:
            tracking_uri: tracking URI of MLflow: a database or a server.
            artifacts: folder for artifacts, used if the experiment is made in a database without a server. Beside an
                SQLite database it is always the folder `mlartifacts`, so that both can be moved together.

        Raises:
            TrackingError: the store cannot be reached or opened.
        """
        logging.getLogger("mlflow").setLevel(logging.WARNING)
        # Alembic reports the migrations of a new database line by line.
        logging.getLogger("alembic").setLevel(logging.WARNING)
        with translated(tracking_uri):
            mlflow.set_tracking_uri(tracking_uri)
            register_artifact_repository()
            self._client = MlflowClient(tracking_uri)
            self._project_run_id, self._origin_tags = project_run(self._client)
            self._experiment_id = open_experiment(self._client, artifacts)
            relocate(tracking_uri, self._experiment_id)
        self._uri = tracking_uri
        self._stack: list[str] = []

    @property
    @override
    def uri(self) -> str:
        return self._uri

    @override
    @contextmanager
    def run(self, name: str, *, tags: Mapping[str, str] | None = None) -> Iterator[Run]:
        with translated(self._uri):
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
            with translated(self._uri):
                monitor.finish()  # type: ignore[no-untyped-call]  # MLflow leaves it untyped
                mlflow.flush_async_logging()
                # `mlflow run` ends its own run.
                if run_id != self._project_run_id:
                    self._client.set_terminated(run_id, status)

    @override
    def run_page(self, run_id: str) -> str:
        info = None if not run_id else self._run_info(run_id)
        return "" if info is None else f"#/experiments/{info.experiment_id}/runs/{run_id}{_FOR_TRAINING}"

    @override
    def runs_page(self) -> str:
        return f"#/experiments/{self._experiment_id}/runs{_FOR_TRAINING}"

    @override
    def register(self, run_id: str, name: str, bundle: Path, *, tags: Mapping[str, str]) -> RegisteredVersion:
        run_id = self._known_run(run_id, name)
        with mlflow.start_run(run_id=run_id):
            logged = log_bundle(name, bundle, tags)
        self._make_model(name)
        created = self._client.create_model_version(
            name,
            logged.model_uri,
            run_id=run_id,
            model_id=logged.model_id,
            tags=dict(tags),
            description=_shortened(_card(bundle)),
        )
        return RegisteredVersion(name=name, version=str(created.version), run_id=run_id)

    @override
    def describe(self, version: RegisteredVersion, bundle: Path, summary: str) -> None:
        whole = _card(bundle)
        card = _shortened(whole)
        known = self._client.get_model_version(version.name, version.version).description or ""
        described_before = known.startswith(f"{version}:") and known.endswith(card)
        if known in ("", whole, card) or described_before:
            text = f"{summary[: MAX_TAG - _MAX_CARD - 2]}\n\n{card}"
            self._client.update_model_version(version.name, version.version, description=text)

    @override
    def fetch(self, uri: str, directory: Path) -> FetchedVersion:
        try:
            named = VersionName.parse(uri)
        except VersionNameError as fault:
            raise TrackingError(str(fault)) from fault
        name = named.model
        with translated(self._uri, f"{named} cannot be fetched from {self._uri}"):
            if named.alias:
                found = self._client.get_model_version_by_alias(name, named.alias)
            else:
                found = self._client.get_model_version(name, named.version)
            exact = f"models:/{name}/{found.version}"
            folder = mlflow.artifacts.download_artifacts(artifact_uri=exact, dst_path=str(directory))
            run = self._client.get_run(str(found.run_id)).info
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
    def attach_archive(self, version: RegisteredVersion, archive: Path, sha256: str, signature: str = "") -> None:
        self._client.log_artifact(version.run_id, str(archive), "archives")
        tags = archive_tags(f"archives/{archive.name}", sha256, signature)
        noted = self._client.get_run(version.run_id).data.tags
        for key, value in tags.items():
            of_run = f"{version.name}.{key}"
            if value:
                self._client.set_model_version_tag(version.name, version.version, key, value)
                self._client.set_tag(version.run_id, of_run, value)
                continue
            self._client.delete_model_version_tag(version.name, version.version, key)
            if of_run in noted:
                self._client.delete_tag(version.run_id, of_run)

    @override
    def champion(self, name: str) -> RegisteredVersion | None:
        try:
            found = self._client.get_model_version_by_alias(name, CHAMPION)
        except MlflowException as cause:
            # No model, no alias, or an alias of a version that was removed from the database.
            if cause.error_code not in _ABSENT:
                raise
            return None
        return RegisteredVersion(name=name, version=str(found.version), run_id=str(found.run_id))

    @override
    def tag_version(self, version: RegisteredVersion, tags: Mapping[str, str]) -> None:
        for key, value in tags.items():
            self._client.set_model_version_tag(version.name, version.version, key, value[:MAX_TAG])

    @override
    def set_champion(self, version: RegisteredVersion, *, only_first: bool) -> bool:
        current = self.champion(version.name)
        before = None if current is None else current.version
        if only_first and before is not None:
            return False
        if before is not None and str(before) != version.version:
            # The version for `deephypebot models rollback`, written first, so that it never lacks its alias.
            self._client.set_registered_model_alias(version.name, PREVIOUS, str(before))
        self._client.set_registered_model_alias(version.name, CHAMPION, version.version)
        # Last: a training that ends before it leaves a champion that counts as a person's.
        self._client.set_registered_model_tag(version.name, TRAINED_CHAMPION_TAG, self._aliases(version.name))
        return True

    @override
    def set_challenger(self, version: RegisteredVersion) -> None:
        self._client.set_registered_model_alias(version.name, CHALLENGER, version.version)

    @override
    def trained_champion(self, name: str) -> bool:
        recorded = self._client.get_registered_model(name).tags.get(TRAINED_CHAMPION_TAG)
        return recorded is not None and recorded == self._aliases(name)

    def _aliases(self, name: str) -> str:
        """Champion and previous champion of a model; a person who moves the champion changes one of them."""
        aliases = self._client.get_registered_model(name).aliases
        return f"{aliases.get(CHAMPION, '')} after {aliases.get(PREVIOUS, '')}".rstrip()

    @override
    def version_tags(self, name: str, version: str) -> Mapping[str, str] | None:
        try:
            return dict(self._client.get_model_version(name, version).tags)
        except MlflowException as cause:
            if cause.error_code not in _ABSENT:
                raise
            return None

    @override
    def find_version(self, name: str, tag: str, value: str) -> RegisteredVersion | None:
        found = self._client.search_model_versions(f"name = '{name}' and tags.`{tag}` = '{value}'")
        if not found:
            return None
        oldest = min(found, key=lambda each: int(each.version))
        return RegisteredVersion(name=name, version=str(oldest.version), run_id=str(oldest.run_id))

    @override
    def fetch_archive(self, version: RegisteredVersion, directory: Path) -> Path:
        path = (self.version_tags(version.name, version.version) or {}).get(ARCHIVE_TAG)
        if path is None:
            raise TrackingError(f"{version} has no archive")
        with translated(self._uri, f"the archive of {version} cannot be fetched"):
            return Path(self._client.download_artifacts(version.run_id, path, str(directory)))

    def _create_run(self, name: str, tags: dict[str, str]) -> str:
        """Make a run within the innermost open one; under `mlflow run` the outermost run is the project's."""
        if self._stack:
            tags["mlflow.parentRunId"] = self._stack[-1]
        elif self._project_run_id:
            for key, value in tags.items():
                self._client.set_tag(self._project_run_id, key, value)
            self._client.update_run(self._project_run_id, name=name)
            return self._project_run_id
        return self._new_run(name, tags)

    def _new_run(self, name: str, tags: Mapping[str, str]) -> str:
        """Make a run with the tags of its origin: user, program, git commit and, under `mlflow run`, the project."""
        # The address of a git repository or of a project may hold a token.
        told = {key: redacted(str(value)) for key, value in {**resolve_tags(), **self._origin_tags, **tags}.items()}
        return str(self._client.create_run(self._experiment_id, tags=told, run_name=name).info.run_id)

    def _run_info(self, run_id: str) -> RunInfo | None:
        """Return what MLflow knows of a run; None for one that was deleted or is not on this server."""
        try:
            info: RunInfo = self._client.get_run(run_id).info
        except MlflowException as cause:
            if cause.error_code != _UNKNOWN:
                raise
            return None
        return info if info.lifecycle_stage == LifecycleStage.ACTIVE else None

    def _known_run(self, run_id: str, name: str) -> str:
        """Return the run, or a new one for a stage whose run was deleted or is not on this server."""
        if run_id and self._run_info(run_id) is not None:
            return run_id
        created = self._new_run(f"register {name}", {})
        self._client.set_terminated(created)
        return created

    def _make_model(self, name: str) -> None:
        """Make the registered model if it does not exist, and describe it if nobody has."""
        try:
            described = self._client.get_registered_model(name).description
        except MlflowException as cause:
            if cause.error_code != _UNKNOWN:
                raise
            self._client.create_registered_model(name, description=_MODELS.get(name))
        else:
            if not described and name in _MODELS:
                self._client.update_registered_model(name, _MODELS[name])


def _card(bundle: Path) -> str:
    return (bundle / MODEL_CARD).read_text(encoding="utf-8")


def _shortened(card: str) -> str:
    """Return a model card up to the last line that a description has room for."""
    if len(card) <= _MAX_CARD:
        return card
    return f"{card[: _MAX_CARD - 100].rpartition(chr(10))[0]}\n\n(The run has all of {MODEL_CARD}.)\n"
