"""Runs of experiments in MLflow: one for the report, which is updated, and one for each action."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from experiments.definition import ActionRecord, Experiment
from experiments.report.values import Report
from serving.registry.connection import open_client, translated

EXPERIMENT_TAG: Final = "deephypebot.experiment"
"""Tag of a run with the name of the experiment."""
KIND_TAG: Final = "deephypebot.kind"
"""Tag of a run: `report`, or the kind of an action with its version."""
REPORT: Final = "report"
_NOTE_TAG: Final = "mlflow.note.content"
_MAX_TAG: Final = 5000


class ExperimentRuns:
    """Runs of experiments, in the project's experiment of MLflow.

    A run is found by its tags, so that a second host, or one after a kill, updates it and makes no other one.

    Args:
        tracking_uri: `sqlite:///PATH` or the address of a tracking server.

    Raises:
        RegistryError: MLflow cannot be used; also raised by every method.
        TrackingError: its experiment is deleted.
    """

    def __init__(self, tracking_uri: str) -> None:
        self._uri = tracking_uri
        self._client = open_client(tracking_uri)
        with translated("MLflow cannot be used", tracking_uri):
            from training.tracking.experiment import open_experiment  # noqa: PLC0415 - imports MLflow

            self._experiment_id = open_experiment(self._client, None)

    def log_report(self, report: Report, files: Sequence[Path]) -> str:
        """Log a report: figures as metrics, the page as an artifact, the recommendation as the description.

        Args:
            report: report as it is now.
            files: its files.

        Returns:
            Id of the run, the same one for every report of the experiment.
        """
        experiment = report.experiment
        with translated("the report cannot be logged", self._uri):
            run_id = self._run(experiment, REPORT, f"experiment {experiment.name}")
            self._log(run_id, report, files, note=report.recommendation)
            if report.state == "stopped":
                self._client.set_terminated(run_id)
            return run_id

    def log_action(self, report: Report, record: ActionRecord, files: Sequence[Path]) -> str:
        """Log an action with the evidence as of now, once: the run of an action that has one stays as it is.

        Args:
            report: report with the evidence.
            record: action that was carried out.
            files: files of the report.

        Returns:
            Id of the run.
        """
        experiment = report.experiment
        kind = f"{record.kind.value} {record.version}".strip()
        with translated("the action cannot be logged", self._uri):
            run = self._find(experiment, kind)
            if run is not None and run.info.status == "FINISHED":
                return str(run.info.run_id)
            run_id = self._run(experiment, kind, f"experiment {experiment.name}: {kind}")
            self._log(run_id, report, files, note=record.reason)
            self._client.set_terminated(run_id)
            return run_id

    def _run(self, experiment: Experiment, kind: str, name: str) -> str:
        if (found := self._find(experiment, kind)) is not None:
            return str(found.info.run_id)
        tags = {
            EXPERIMENT_TAG: experiment.name,
            KIND_TAG: kind,
            "model": experiment.model,
            "design": experiment.design.value,
            "versions": ", ".join(experiment.versions),
        }
        return str(self._client.create_run(self._experiment_id, run_name=name, tags=tags).info.run_id)

    def _find(self, experiment: Experiment, kind: str) -> Any | None:
        wanted = f"tags.`{EXPERIMENT_TAG}` = '{experiment.name}' and tags.`{KIND_TAG}` = '{kind}'"
        # The earliest, if two hosts made one at the same moment: both go on with that one.
        found = self._client.search_runs(
            [self._experiment_id], wanted, max_results=1, order_by=["attributes.start_time ASC"]
        )
        return found[0] if found else None

    def _log(self, run_id: str, report: Report, files: Sequence[Path], *, note: str) -> None:
        from mlflow.entities import Metric, RunTag  # noqa: PLC0415 - takes seconds

        step, at_ms = sum(arm.samples for arm in report.arms), round(report.updated_at.timestamp() * 1000)
        self._client.log_batch(
            run_id,
            metrics=[Metric(name, value, at_ms, step) for name, value in figures(report).items()],
            tags=[RunTag(_NOTE_TAG, note[:_MAX_TAG]), RunTag("state", report.state)],
        )
        for path in files:
            self._client.log_artifact(run_id, str(path))


def figures(report: Report) -> Mapping[str, float]:
    """Return the figures of a report by the names of their metrics, such as `acceptance/2`."""
    return dict(_figures(report))


def _figures(report: Report) -> Iterator[tuple[str, float]]:
    yield "songs", float(report.songs.whole)
    for arm in report.arms:
        yield f"samples/{arm.version}", float(arm.samples)
        yield f"calls/{arm.version}", float(arm.calls)
        yield f"failures/{arm.version}", float(arm.failures)
        if arm.p95_ms is not None:
            yield f"p95_ms/{arm.version}", arm.p95_ms
        if arm.acceptance is not None:
            yield f"acceptance/{arm.version}", arm.acceptance.value
            yield f"acceptance_low/{arm.version}", arm.acceptance.low
            yield f"acceptance_high/{arm.version}", arm.acceptance.high
    for each in report.treatments:
        comparison = each.comparison
        yield f"difference/{each.version}", comparison.mean
        yield f"difference_low/{each.version}", comparison.low
        yield f"difference_high/{each.version}", comparison.high
        yield f"log_e_better/{each.version}", comparison.log_e_better
        yield f"log_e_worse/{each.version}", comparison.log_e_worse
        yield f"probability_better/{each.version}", comparison.probability_better
