"""What training tells a tracking server, as a port.

`MlflowTracker` puts MLflow behind it, `NullTracker` nothing.

GPU hosts may have torch and no MLflow; training runs there all the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from handlers.contract import ARCHIVE_SHA256_TAG, ARCHIVE_TAG
from training.errors import TrackingError


class Run(Protocol):
    """One tracked stage."""

    @property
    def run_id(self) -> str:
        """Identifier in the tracking server; empty without one."""

    def log_params(self, params: Mapping[str, Any]) -> None:
        """What the stage was told."""

    def log_metrics(self, metrics: Mapping[str, float], *, step: int | None = None) -> None:
        """Figures, as points of a curve when a step is given."""

    def log_file(self, path: Path, folder: str = "") -> None:
        """Keep a file with the run."""

    def set_tags(self, tags: Mapping[str, str]) -> None:
        """Searchable facts."""

    def log_dataset(self, dataset: TrainedOn) -> None:
        """What the stage learned from."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainedOn:
    """A corpus as a tracking server's table of datasets shows it."""

    name: str
    sha256: str
    source: str
    """Where it came from, for a person."""
    profile: Mapping[str, int]
    """Its sizes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisteredVersion:
    """A version in the registry."""

    name: str
    version: str
    run_id: str

    @property
    def uri(self) -> str:
        """How MLflow names it."""
        return f"models:/{self.name}/{self.version}"


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchedVersion:
    """A registered version on this machine."""

    version: RegisteredVersion
    bundle: Path
    """Its bundle's folder."""
    tags: Mapping[str, str]
    seconds: float | None
    """How long its run took, of a run that has ended."""


class Tracker(Protocol):
    """Where runs and versions go."""

    @property
    def uri(self) -> str:
        """Which server or store this is."""

    def run(self, name: str, *, tags: Mapping[str, str] | None = None) -> AbstractContextManager[Run]:
        """A run; one opened inside another becomes its child. Fails with the block."""
        ...

    def register(self, run_id: str, name: str, bundle: Path, *, tags: Mapping[str, str]) -> RegisteredVersion:
        """Log a bundle as a model of a run and register it under a name; makes a run if that one is not to be found."""

    def has(self, name: str, version: str) -> bool:
        """Whether a version is registered."""

    def fetch(self, uri: str, directory: Path) -> FetchedVersion:
        """Bring a version (models:/cvae/1, models:/lcgan@champion) to a folder.

        Raises:
            TrackingError: there is none.
        """
        ...

    def reopen(self, run_id: str) -> Run:
        """A run that is there already, to log more to."""
        ...

    def attach_archive(self, version: RegisteredVersion, archive: Path, sha256: str) -> None:
        """Keep a version's archive with its run and say so on the version."""

    def set_champion(self, version: RegisteredVersion, *, only_first: bool) -> bool:
        """Let a version answer requests; with `only_first`, only if none does yet. Says whether it was done."""


@dataclass(slots=True)
class _NullRun:
    run_id: str = ""

    def log_params(self, params: Mapping[str, Any]) -> None:
        pass

    def log_metrics(self, metrics: Mapping[str, float], *, step: int | None = None) -> None:
        pass

    def log_file(self, path: Path, folder: str = "") -> None:
        pass

    def set_tags(self, tags: Mapping[str, str]) -> None:
        pass

    def log_dataset(self, dataset: TrainedOn) -> None:
        pass


@dataclass(frozen=True, slots=True)
class NullTracker:
    """Tracks nothing; what it is given to register is version 0."""

    uri: str = "none"

    @contextmanager
    def run(self, name: str, *, tags: Mapping[str, str] | None = None) -> Iterator[Run]:
        """See `Tracker.run`."""
        del name, tags
        yield _NullRun()

    def register(self, run_id: str, name: str, bundle: Path, *, tags: Mapping[str, str]) -> RegisteredVersion:
        """See `Tracker.register`."""
        del bundle, tags
        return RegisteredVersion(name=name, version="0", run_id=run_id)

    def has(self, name: str, version: str) -> bool:
        """See `Tracker.has`."""
        del name
        return version == "0"

    def fetch(self, uri: str, directory: Path) -> FetchedVersion:
        """See `Tracker.fetch`; there is no registry to ask."""
        del directory
        raise TrackingError(f"{uri} is a registered version, and there is no registry without tracking")

    def reopen(self, run_id: str) -> Run:
        """See `Tracker.reopen`."""
        del run_id
        return _NullRun()

    def attach_archive(self, version: RegisteredVersion, archive: Path, sha256: str) -> None:
        """See `Tracker.attach_archive`."""

    def set_champion(self, version: RegisteredVersion, *, only_first: bool) -> bool:
        """See `Tracker.set_champion`; there is no registry to say it to."""
        del version, only_first
        return False


def archive_tags(archive: str, sha256: str) -> dict[str, str]:
    """Tags by which serving finds and checks a version's archive."""
    return {ARCHIVE_TAG: archive, ARCHIVE_SHA256_TAG: sha256}
