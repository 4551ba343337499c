"""Port to a tracking server, which `MlflowTracker` implements.

GPU hosts may have torch but no MLflow; there `NullTracker` implements the port and records nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from typing_extensions import override

from foundation.model_versions import VersionName
from handlers.contract import ARCHIVE_SHA256_TAG, ARCHIVE_SIGNATURE_TAG, ARCHIVE_TAG
from training.errors import TrackingError


class Run(Protocol):
    """Tracked stage."""

    @property
    def run_id(self) -> str:
        """Identifier of the run in the tracking server; empty without a server."""
        ...

    def log_params(self, params: Mapping[str, Any]) -> None:
        """Log the settings of the stage."""

    def log_metrics(self, metrics: Mapping[str, float], *, step: int | None = None) -> None:
        """Log figures; with a step they are points of curves."""

    def log_file(self, path: Path, folder: str = "") -> None:
        """Keep a file with the run."""

    def set_tags(self, tags: Mapping[str, str]) -> None:
        """Set searchable tags of the run."""

    def log_dataset(self, dataset: TrainedOn) -> None:
        """Log the corpus that the stage is trained on."""

    def describe(self, text: str) -> None:
        """Describe the run in Markdown, instead of an earlier description."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainedOn:
    """Corpus in a tracking server's table of datasets."""

    name: str
    sha256: str
    source: str
    """Origin of the corpus, for readers."""
    profile: Mapping[str, int]
    """Sizes of the corpus by name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisteredVersion:
    """Model version in the registry."""

    name: str
    version: str
    run_id: str

    @property
    def uri(self) -> str:
        """MLflow's URI of the version."""
        return VersionName(model=self.name, version=self.version).uri

    def __str__(self) -> str:
        """Return the version as commands take and print it."""
        return str(VersionName(model=self.name, version=self.version))


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchedVersion:
    """Registered version on this machine."""

    version: RegisteredVersion
    bundle: Path
    """Folder of the version's bundle."""
    tags: Mapping[str, str]
    seconds: float | None
    """Duration of the version's run, if the run has ended."""


class Tracker(Protocol):
    """Store of runs and model versions."""

    registers: bool
    """Whether versions are registered."""

    @property
    def uri(self) -> str:
        """Address of the server or store."""
        ...

    def run(self, name: str, *, tags: Mapping[str, str] | None = None) -> AbstractContextManager[Run]:
        """Open a run, which fails if its block does; a run opened inside another becomes its child."""
        ...

    def run_page(self, run_id: str) -> str:
        """Return the address of a run's page below that of the server; empty for a run that is not there."""
        ...

    def runs_page(self) -> str:
        """Return the address of the page of all runs below that of the server; empty without a server."""
        ...

    def register(self, run_id: str, name: str, bundle: Path, *, tags: Mapping[str, str]) -> RegisteredVersion:
        """Log a bundle as a model of a run and register it under a name; a run that is not found is made.

        The description of the version is the model card.
        """
        ...

    def describe(self, version: RegisteredVersion, bundle: Path, summary: str) -> None:
        """Put a summary before the model card in a version's description, unless a person has written another.

        Args:
            version: the version.
            bundle: its bundle, with the model card.
            summary: a paragraph that begins with the version and a colon.
        """

    def version_tags(self, name: str, version: str) -> Mapping[str, str] | None:
        """Return the tags of a version; None if it is not registered."""
        ...

    def find_version(self, name: str, tag: str, value: str) -> RegisteredVersion | None:
        """Return a model's oldest version with a tag of a value; None without one."""
        ...

    def fetch_archive(self, version: RegisteredVersion, directory: Path) -> Path:
        """Download the archive of a version to a folder.

        Raises:
            TrackingError: the version has no archive, or it cannot be downloaded.
        """
        ...

    def fetch(self, uri: str, directory: Path) -> FetchedVersion:
        """Download a version (cvae/1, models:/lcgan@champion) to a folder.

        Raises:
            TrackingError: the version does not exist or cannot be downloaded.
        """
        ...

    def reopen(self, run_id: str) -> Run:
        """Open an existing run, to log more to it."""
        ...

    def attach_archive(self, version: RegisteredVersion, archive: Path, sha256: str, signature: str = "") -> None:
        """Keep a version's archive with its run and tag the version with it, and with its signature if it has one."""

    def champion(self, name: str) -> RegisteredVersion | None:
        """Return the champion of a model; None without one."""
        ...

    def tag_version(self, version: RegisteredVersion, tags: Mapping[str, str]) -> None:
        """Set tags of a version."""

    def set_champion(self, version: RegisteredVersion, *, only_first: bool) -> bool:
        """Make a version the champion, with `only_first` only if there is none; return whether it was made."""
        ...

    def set_challenger(self, version: RegisteredVersion) -> None:
        """Make a version the challenger, which is served for requests that name it."""
        ...

    def trained_champion(self, name: str) -> bool:
        """Whether the last one who set a model's champion was a training; a person may have set it otherwise."""
        ...


@dataclass(slots=True)
class _NullRun(Run):
    run_id: str = ""

    @override
    def log_params(self, params: Mapping[str, Any]) -> None:
        pass

    @override
    def log_metrics(self, metrics: Mapping[str, float], *, step: int | None = None) -> None:
        pass

    @override
    def log_file(self, path: Path, folder: str = "") -> None:
        pass

    @override
    def set_tags(self, tags: Mapping[str, str]) -> None:
        pass

    @override
    def log_dataset(self, dataset: TrainedOn) -> None:
        pass

    @override
    def describe(self, text: str) -> None:
        pass


@dataclass(frozen=True, slots=True)
class NullTracker(Tracker):
    """Tracker that records nothing; every version that it registers is version 0."""

    uri: str = "none"
    registers: bool = False

    @override
    @contextmanager
    def run(self, name: str, *, tags: Mapping[str, str] | None = None) -> Iterator[Run]:
        del name, tags
        yield _NullRun()

    @override
    def run_page(self, run_id: str) -> str:
        del run_id
        return ""

    @override
    def runs_page(self) -> str:
        return ""

    @override
    def register(self, run_id: str, name: str, bundle: Path, *, tags: Mapping[str, str]) -> RegisteredVersion:
        del bundle, tags
        return RegisteredVersion(name=name, version="0", run_id=run_id)

    @override
    def describe(self, version: RegisteredVersion, bundle: Path, summary: str) -> None:
        pass

    @override
    def version_tags(self, name: str, version: str) -> Mapping[str, str] | None:
        del name
        return {} if version == "0" else None

    @override
    def find_version(self, name: str, tag: str, value: str) -> RegisteredVersion | None:
        del name, tag, value
        return None

    @override
    def fetch_archive(self, version: RegisteredVersion, directory: Path) -> Path:
        del directory
        raise TrackingError(f"{version} has no archive elsewhere without tracking")

    @override
    def fetch(self, uri: str, directory: Path) -> FetchedVersion:
        del directory
        raise TrackingError(f"{uri} is a registered version, and there is no registry without tracking")

    @override
    def reopen(self, run_id: str) -> Run:
        del run_id
        return _NullRun()

    @override
    def attach_archive(self, version: RegisteredVersion, archive: Path, sha256: str, signature: str = "") -> None:
        pass

    @override
    def champion(self, name: str) -> RegisteredVersion | None:
        del name
        return None

    @override
    def tag_version(self, version: RegisteredVersion, tags: Mapping[str, str]) -> None:
        pass

    @override
    def set_champion(self, version: RegisteredVersion, *, only_first: bool) -> bool:
        del version, only_first
        return False

    @override
    def set_challenger(self, version: RegisteredVersion) -> None:
        pass

    @override
    def trained_champion(self, name: str) -> bool:
        del name
        return False


def archive_tags(archive: str, sha256: str, signature: str = "") -> dict[str, str]:
    """Return the tags by which serving finds and checks a version's archive, in the order in which to write them.

    The signature comes last, since it is one of the hash; without one it is empty, and an earlier one must go.
    """
    return {ARCHIVE_TAG: archive, ARCHIVE_SHA256_TAG: sha256, ARCHIVE_SIGNATURE_TAG: signature}
