"""Watch over experiments: report, decide, act and send verdicts to MLflow, again and again."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from bot.domain.errors import BotError
from bot.ports import Queue
from experiments.carrying_out import carry_out
from experiments.deciding import decide
from experiments.definition import Experiment
from experiments.definition_text import encode_definition
from experiments.errors import ExperimentError
from experiments.paced_runs import PacedRuns
from experiments.registry import ExperimentRegistry
from experiments.report.making import make_report
from experiments.report.page import write_report
from experiments.report.sentences import recommend
from experiments.report.values import Report
from experiments.runs import ExperimentRuns
from experiments.sources import Sources, moment, named
from experiments.statistics.errors import StatisticsError
from experiments.tracking import SyncResult, VerdictSync, read_songs
from foundation.locked_folders import lock
from serving.errors import ServingError
from serving.registry.client import Registry
from training.errors import TrainingError

_log = logging.getLogger(__name__)

_AFTERLIFE: Final = timedelta(days=7)
"""Time after its end for which the report of an experiment is kept up to date: verdicts on its songs still come."""
_LEDGER: Final = "mlflow.db"
_EXPECTED: Final = (BotError, ExperimentError, ServingError, StatisticsError, TrainingError)
"""Faults of what is outside: they are told, and the next pass tries again."""


@dataclass(slots=True, kw_only=True)
class Watcher:
    """Watch of one workspace."""

    sources: Sources
    tracking_uri: str
    names: tuple[str, ...] = ()
    """Experiments to watch; all of them if it is empty."""
    now: Callable[[], datetime] = moment
    syncs_verdicts: bool = True
    """Whether verdicts are sent to MLflow as well."""
    _faults: dict[str, str] = field(default_factory=dict)
    """Latest fault of each part, so that the log has it once."""
    _seen: dict[str, object] = field(default_factory=dict)
    """State of definition and sources at the last whole pass over an experiment."""
    _logged: set[tuple[str, str, str]] = field(default_factory=set)
    """Actions that have a run in MLflow."""
    _recommended: dict[str, str] = field(default_factory=dict)
    """Latest recommendation of each experiment, so that the log has it once."""
    _runs: PacedRuns = field(init=False)

    def __post_init__(self) -> None:
        self._runs = PacedRuns(self._open_runs, now=self.now)

    def run_once(self) -> bool:
        """Make one pass over all experiments, and return whether everything went well."""
        signature = self._signature()
        with self._told("registry"):
            registry = ExperimentRegistry(Registry(self.tracking_uri), now=self.now)
            experiments = named(registry.list(), self.names)
            self._forget(experiments)
            with self._told("definitions"):
                _raise_first(registry.unreadable())
            for experiment in experiments:
                with self._told(experiment.name):
                    self._follow(registry, experiment, signature)
        with self._told("runs"):
            self._runs.log_waiting()
        if self.syncs_verdicts:
            with self._told("verdicts"):
                self._sync()
        return not self._faults

    def _signature(self) -> object:
        """Return the state of the sources; one like no other if it cannot be read, so that everything is tried."""
        with self._told("sources"):
            return self.sources.signature()
        return object()

    def _forget(self, experiments: Sequence[Experiment]) -> None:
        names = {each.name for each in experiments} | {"sources", "registry", "definitions", "runs", "verdicts"}
        self._faults = {part: fault for part, fault in self._faults.items() if part in names}

    def _follow(self, registry: ExperimentRegistry, experiment: Experiment, signature: object) -> None:
        """Report on an experiment, and do what follows, if anything changed since the last pass."""
        if experiment.stopped is not None and self.now() - experiment.stopped > _AFTERLIFE:
            return
        state = (encode_definition(experiment), signature)
        if self._seen.get(experiment.name) == state:
            return
        if changes := registry.settle(experiment):
            _log.warning("%s: tags that were left over are removed (%d)", experiment.name, len(changes))
        report = make_report(self.sources.evidence(experiment), now=self.now())
        for action in decide(report):
            try:
                experiment = carry_out(registry, experiment.name, action)
            except ExperimentError:
                self._publish(report)
                raise
            _log.warning("%s: %s", experiment.name, action.reason)
        if experiment != report.experiment:
            # The figures stay those of the decision.
            report = replace(report, experiment=experiment, recommendation=recommendation(report, experiment))
        self._publish(report)
        self._seen[experiment.name] = (encode_definition(experiment), signature)

    def _publish(self, report: Report) -> None:
        files = write_report(report, self.sources.report_folder(report.experiment))
        name = report.experiment.name
        if self._recommended.get(name) != report.recommendation:
            is_short = any(each.is_now for each in report.absences)
            _log.log(logging.WARNING if is_short else logging.INFO, "%s: %s", name, report.recommendation)
            self._recommended[name] = report.recommendation
        self._runs.log(report, files)
        for record in report.experiment.actions:
            key = (name, record.kind.value, record.version)
            if key not in self._logged:
                self._open_runs().log_action(report, record, files)
                self._logged.add(key)

    def _open_runs(self) -> ExperimentRuns:
        return ExperimentRuns(self.tracking_uri)

    def _sync(self) -> None:
        # Exposures change with each request, and say nothing about verdicts.
        signature = self.sources.store_signature()
        if self._seen.get("") == signature:
            return
        with self.sources.open_store() as store:
            result = sync_verdicts(self.sources, self.tracking_uri, store, now=self.now)
        for sentence in result.sentences:
            _log.info("%s", sentence)
        if result.away is None:
            self._seen[""] = signature

    @contextmanager
    def _told(self, part: str) -> Iterator[None]:
        """Let a fault of the block be told once, and its end as well."""
        try:
            yield
        except _EXPECTED as fault:
            if self._faults.get(part) != str(fault):
                _log.error("%s: %s", part, fault)
            self._faults[part] = str(fault)
        else:
            if self._faults.pop(part, None) is not None:
                _log.info("%s: well again", part)


def sync_verdicts(
    sources: Sources, tracking_uri: str, queue: Queue, *, now: Callable[[], datetime] = moment
) -> SyncResult:
    """Send the verdicts of all songs to MLflow.

    Args:
        sources: workspace, whose folder of reports has the ledger.
        tracking_uri: `sqlite:///PATH` or the address of a tracking server.
        queue: the bot's queue.
        now: clock, in UTC.

    Raises:
        ExperimentError: the ledger cannot be used.
    """
    return VerdictSync(tracking_uri, sources.folder / _LEDGER, now=now).sync(read_songs(queue.rows()))


def recommendation(report: Report, experiment: Experiment) -> str:
    """Return what a report recommends once actions were carried out on its experiment."""
    return recommend(experiment, report.arms, report.treatments, report.ratio, report.absences)


def _raise_first(sentences: Sequence[str]) -> None:
    for each in sentences:
        raise ExperimentError(each)


@contextmanager
def only_watcher(folder: Path) -> Iterator[None]:
    """Hold the lock of a workspace's watch for the length of the block.

    Args:
        folder: folder of the reports; made if it is not there.

    Raises:
        ExperimentError: another process watches this workspace, or the folder cannot be made.
    """
    held = ExitStack()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        held.enter_context(lock(folder))
    except BlockingIOError as cause:
        raise ExperimentError(
            f"another `deephypebot experiment watch` runs on {folder.parent}: one is enough for all experiments"
        ) from cause
    except OSError as cause:
        raise ExperimentError(f"{folder} cannot be used: {cause.strerror}; choose another --workspace") from cause
    with held:
        yield
