"""Sources of the evidence on this host: the bot's store and folders of exposures."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from bot.adapters.sqlite.store import SqliteStore
from bot.bootstrap.build import open_store
from bot.settings import DATABASE
from experiments.collecting import collect
from experiments.definition import Experiment
from experiments.errors import ExperimentError
from experiments.evidence import Evidence
from experiments.report.making import make_report
from experiments.report.values import Report
from serving.options import exposures_folder
from serving.traffic.experiment import ExperimentDesign
from serving.traffic.reading import ExposureFiles
from serving.traffic.segments import segment_paths

_FOLDER: Final = "experiments"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """Folders that an experiment's evidence is read from."""

    workspace: Path
    """Folder of the bot's store, and of the reports."""
    exposures: tuple[Path, ...] = ()
    """Folders of exposures, of several hosts for instance; by default that of the workspace, if there is one."""

    @property
    def folder(self) -> Path:
        """Folder of the reports."""
        return self.workspace / _FOLDER

    def report_folder(self, experiment: Experiment) -> Path:
        """Return the folder of the report of an experiment."""
        return self.folder / experiment.name

    def open_store(self) -> SqliteStore:
        """Open the bot's store.

        Raises:
            StoreError: there is none, or it is of a newer release, or it cannot be used.
        """
        return open_store(self.workspace)

    def exposure_files(self, experiment: Experiment | None = None) -> ExposureFiles | None:
        """Return the exposures; None if no folder was named and the workspace has none.

        Args:
            experiment: experiment of which rows are needed; None for all rows.

        Raises:
            ExperimentError: the workspace cannot be read.
        """
        with _readable(self.workspace):
            if not self.exposures and not exposures_folder(self.workspace).is_dir():
                return None
        folders = self.exposures or (exposures_folder(self.workspace),)
        if experiment is None:
            return ExposureFiles(folders=folders)
        # In the sticky design, rows that are not its own tell which requests another version answered.
        name = experiment.name if experiment.design is ExperimentDesign.INTERLEAVED else ""
        return ExposureFiles(folders=folders, since=experiment.started, experiment=name)

    def evidence(self, experiment: Experiment) -> Evidence:
        """Return the evidence of an experiment as of now.

        Raises:
            StoreError: the bot's store cannot be read.
            ServingError: a folder of exposures that was named cannot be read.
        """
        with self.open_store() as store:
            return collect(experiment, store, self.exposure_files(experiment))

    def report(self, experiment: Experiment) -> Report:
        """Return the report of an experiment as of now.

        Raises:
            StoreError: the bot's store cannot be read.
            ServingError: a folder of exposures that was named cannot be read.
        """
        return make_report(self.evidence(experiment))

    def store_signature(self) -> tuple[tuple[str, int, int], ...]:
        """Return what changes whenever the store does.

        Raises:
            ExperimentError: the workspace cannot be read.
        """
        paths = (self.workspace / f"{DATABASE}{end}" for end in ("", "-wal"))
        with _readable(self.workspace):
            return tuple(_stat(path) for path in paths if path.is_file())

    def signature(self) -> tuple[tuple[str, int, int], ...]:
        """Return what changes whenever the store or the exposures do: files with their sizes and times.

        Raises:
            ExperimentError: a folder cannot be read.
        """
        found = list(self.store_signature())
        for folder in self.exposures or (exposures_folder(self.workspace),):
            with _readable(folder):
                found += [_stat(path) for path in segment_paths(folder)]
        return tuple(sorted(found))


def named(experiments: tuple[Experiment, ...], names: tuple[str, ...]) -> tuple[Experiment, ...]:
    """Return the experiments of these names; all of them without a name.

    Raises:
        ExperimentError: a name is not among them.
    """
    known = {each.name: each for each in experiments}
    for name in names:
        if name not in known:
            raise ExperimentError(f"there is no experiment {name!r}; the experiments are: {', '.join(known) or 'none'}")
    return tuple(each for each in experiments if not names or each.name in names)


def moment() -> datetime:
    """Return the present, in UTC."""
    return datetime.now(UTC)


@contextmanager
def _readable(folder: Path) -> Iterator[None]:
    """Turn the system's refusals within the block into the errors of experiments.

    Raises:
        ExperimentError: the folder cannot be read.
    """
    try:
        yield
    except OSError as cause:
        raise ExperimentError(
            f"{folder} cannot be read: {cause.strerror}; let this account read it, or name another --workspace or "
            "--exposures"
        ) from cause


def _stat(path: Path) -> tuple[str, int, int]:
    try:
        found = path.stat()
    except OSError:  # removed meanwhile
        return (str(path), 0, 0)
    return (str(path), found.st_size, found.st_mtime_ns)
