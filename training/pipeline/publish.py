"""Publishing of a finished stage: a registered version with its archive, made once."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Final

from foundation.hashes import file_sha256
from handlers.model.bundle import BundleError
from training.errors import TrainingError
from training.evaluation.models import CVAE_VERSION_TAG, load_folder, load_models
from training.evaluation.promotion import Decision, Promoter
from training.files import atomic_path, read_json, write_json
from training.packaging.archive import Archive, build_archive
from training.pipeline.artifacts import BUNDLE
from training.pipeline.stages import Stage
from training.progress import Progress
from training.tracking.port import RegisteredVersion, Tracker

PROMOTION_TAG: Final = "promotion"
"""Tag of a registered version: whether it became the champion when it was trained, and why."""
_RECORD: Final = "published.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """Registered version with an archive in the model store."""

    name: str
    version: str
    run_id: str
    archive: str
    """Path of the archive, in the model store."""
    archive_sha256: str
    tracking: str
    reused: bool
    """Whether the version existed before this training."""
    champion: bool
    """Whether this training made the version the champion."""
    reason: str = ""
    """Reason why it did or did not; empty where nothing was decided."""

    @property
    def told(self) -> str:
        """The decision in words."""
        return f"{'promoted' if self.champion else 'not promoted'}: {self.reason}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Publisher:
    """Registers a stage's bundle, packs it and copies its archive into the model store."""

    tracker: Tracker
    model_store: Path
    champion: bool
    """Whether every version becomes the champion; otherwise the promoter decides."""
    promoter: Promoter

    def publish(
        self, name: str, stage: Stage, *, run_id: str, tags: Mapping[str, str], watch: Callable[[str], Progress]
    ) -> Published:
        """Publish a stage's bundle, unless it has been published to the same tracking server before.

        The champion alias is set last, so a version that gets requests always has its archive.

        Args:
            name: name of the registered model.
            stage: stage with the bundle.
            run_id: tracked run that gets the version: that of the model's training.
            tags: tags of the version.
            watch: makes a progress callback, if there is something to do.
        """
        published = self._recorded(stage)
        if published is None:
            version, archive = self._register(name, stage, run_id, tags, watch(f"register {name}"))
            published = Published(
                **_identity(version),
                archive=str(archive.path),
                archive_sha256=archive.sha256,
                tracking=self.tracker.uri,
                reused=False,
                champion=False,
            )
            write_json(stage.directory / _RECORD, asdict(published))
        target = self.model_store / Path(published.archive).name
        self._put_in_store(Path(published.archive), target, published.archive_sha256)
        return replace(self._promoted(published, stage, tags), archive=str(target))

    def _promoted(self, published: Published, stage: Stage, tags: Mapping[str, str]) -> Published:
        """Decide whether a version becomes the champion, set the alias, and record the reason with the version."""
        version = RegisteredVersion(name=published.name, version=published.version, run_id=published.run_id)
        if self.champion:
            made = self.tracker.set_champion(version, only_first=False)
            return replace(published, champion=made, reason="--champion was given")
        current = self.tracker.champion(version.name)
        # Without tracking there are no champions, and what was decided before, or by a person since, stays.
        decided = current is not None and (published.reason or current.version == version.version)
        if not self.tracker.registers or decided:
            return replace(published, champion=False, reason="")
        with tempfile.TemporaryDirectory(prefix="deephypebot-promote-") as scratch:
            decision = self._decision(version, current, stage, tags, Path(scratch))
        made = decision.promote and self.tracker.set_champion(version, only_first=current is None)
        # The record is that of the version; this training's part in the alias is not.
        recorded = replace(published, reason=decision.reason)
        published = replace(recorded, champion=made)
        self.tracker.tag_version(version, {PROMOTION_TAG: published.told})
        write_json(stage.directory / _RECORD, asdict(recorded))
        return published

    def _decision(
        self,
        version: RegisteredVersion,
        current: RegisteredVersion | None,
        stage: Stage,
        tags: Mapping[str, str],
        scratch: Path,
    ) -> Decision:
        new = load_folder(
            stage.directory / BUNDLE,
            name=f"{version.name} {version.version}",
            cvae_version=tags.get(CVAE_VERSION_TAG, ""),
        )
        try:
            champion = None if current is None else load_models([current.uri], self.tracker, scratch)[0]
            prior = f"models:/cvae/{new.cvae_version}"
            # The cvae whose z the version moves; a cvae has none.
            moved = load_models([prior], self.tracker, scratch)[0] if new.cvae_version else None
        except (TrainingError, BundleError) as cause:
            return Decision(promote=current is None, reason=f"{new.name} was not compared: {cause}")
        return self.promoter.decide(new, champion, moved)

    def _recorded(self, stage: Stage) -> Published | None:
        path = stage.directory / _RECORD
        if not path.exists():
            return None
        with stage.reading():
            record = Published(**{**read_json(path), "reused": True})
        known = record.tracking == self.tracker.uri and self.tracker.has(record.name, record.version)
        intact = Path(record.archive).exists() and file_sha256(Path(record.archive)) == record.archive_sha256
        return record if known and intact else None

    def _register(
        self, name: str, stage: Stage, run_id: str, tags: Mapping[str, str], progress: Progress
    ) -> tuple[RegisteredVersion, Archive]:
        bundle = stage.directory / BUNDLE
        progress(0, 3, "logging the model")
        version = self.tracker.register(run_id, name, bundle, tags=tags)
        progress(1, 3, f"packing version {version.version}")
        # The stage keeps its own archive, because the model store may be emptied at any time.
        archive = build_archive(bundle, stage.directory, version=version.version)
        progress(2, 3, "storing the archive")
        self.tracker.attach_archive(version, archive.path, archive.sha256)
        progress(3, 3, f"version {version.version}")
        return version, archive

    def _put_in_store(self, source: Path, target: Path, sha256: str) -> None:
        if target.exists() and file_sha256(target) == sha256:
            return
        with atomic_path(target) as partial:
            shutil.copyfile(source, partial)


def _identity(version: RegisteredVersion) -> dict[str, str]:
    return {"name": version.name, "version": version.version, "run_id": version.run_id}
