"""Publishing of finished stages: a registered version with its archive, made once, and who becomes the champion.

Versions are registered when the whole training has succeeded, so a training that fails leaves none.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Final

from foundation.hashes import file_sha256
from foundation.model_versions import VersionName
from foundation.redaction import redacted
from foundation.signatures import SIGNATURE_SUFFIX, SigningKey
from handlers.contract import ARCHIVE_SHA256_TAG, ARCHIVE_SIGNATURE_TAG, RankBy, archive_name
from handlers.model.bundle import BundleError, bundle_sha256
from training.errors import TrackingError, TrainingError
from training.evaluation.models import CVAE_VERSION_TAG, LoadedModel, load_folder, load_models
from training.evaluation.promotion import Decision, Promoter
from training.files import atomic_path, read_json, write_json
from training.packaging.archive import Archive, build_archive
from training.pipeline.artifacts import BUNDLE
from training.pipeline.descriptions import figures_text, version_summary
from training.pipeline.published import (
    BUNDLE_TAG,
    FIGURES_TAG,
    PROMOTION_TAG,
    SETTINGS_TAG,
    VERDICTS_TAG,
    FinishedModel,
    Published,
)
from training.pipeline.stages import Stage
from training.progress import Progress
from training.tracking.port import RegisteredVersion, Tracker
from training.verdicts.learning import LEARNED_SHARE, RANKS_BY_BOTH

_RECORD: Final = "published.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Publisher:
    """Registers a stage's bundle, packs it and copies its archive into the model store."""

    tracker: Tracker
    model_store: Path
    champion: bool
    """Whether every version becomes the champion; otherwise the promoter decides."""
    promoter: Promoter
    signing_key: SigningKey | None = None
    """Key that signs the archives that this training packs; None leaves them unsigned."""

    def publish(
        self, models: Sequence[FinishedModel], *, tags: Mapping[str, str], watch: Callable[[str], Progress]
    ) -> tuple[Published, ...]:
        """Register all models of a training, then decide which versions become champions.

        Args:
            models: the models; an lcgan after its cvae.
            tags: tags of all versions.
            watch: makes a progress callback, if there is something to do.
        """
        registered: list[Published] = []
        for model in models:
            own = {**tags, CVAE_VERSION_TAG: registered[0].version} if registered else dict(tags)
            if model.learned_from:
                own[VERDICTS_TAG] = model.learned_from
            registered.append(self.register(model, tags=own, watch=watch))
        decided = []
        for model, version in zip(models, registered, strict=True):
            cvae_version = "" if version is registered[0] else registered[0].version
            decided.append(self.decide(version, model, cvae_version=cvae_version))
        return tuple(decided)

    def register(self, model: FinishedModel, *, tags: Mapping[str, str], watch: Callable[[str], Progress]) -> Published:
        """Register a stage's bundle, unless the tracking server has a version of the same content.

        Args:
            model: the model; the tracked run of its training gets the version.
            tags: tags of the version.
            watch: makes a progress callback, if there is something to do.
        """
        name, stage = model.name, model.stage
        record = self._recorded(stage)
        content = bundle_sha256(stage.directory / BUNDLE)
        version = self._known(name, record, content)
        reused = version is not None
        if version is None:
            watch(f"register {name}")(0, 3, "logging the model")
            version = self.tracker.register(
                model.trained.run_id(), name, stage.directory / BUNDLE, tags={**tags, BUNDLE_TAG: content}
            )
        same = record if record is not None and reused and record.version == version.version else None
        archive = self._archive(version, stage, same, watch)
        known = self.tracker.version_tags(name, version.version) or {}
        published = Published(
            name=name,
            version=version.version,
            run_id=version.run_id,
            archive=str(self.model_store / archive.path.name),
            archive_sha256=archive.sha256,
            tracking=redacted(self.tracker.uri),
            reused=reused,
            decision=known.get(PROMOTION_TAG, ""),
            warning="" if same is None else same.warning,
            # What was there already is not signed: somebody else may have put it there.
            unsigned=self.signing_key is not None and self.tracker.registers and not known.get(ARCHIVE_SIGNATURE_TAG),
            language={} if same is None else same.language,
        )
        write_json(stage.directory / _RECORD, published.record())
        self._put_in_store(archive.path, Path(published.archive), archive.sha256)
        return published

    def decide(self, published: Published, model: FinishedModel, *, cvae_version: str) -> Published:
        """Decide whether a registered version becomes the champion, set the alias, and record the reason with it.

        The alias is set last, so a version that gets requests always has its archive.

        Args:
            published: the registered version.
            model: the model that was registered.
            cvae_version: version of the cvae whose z it moves; empty for a cvae.
        """
        if not self.tracker.registers:
            return published
        version = RegisteredVersion(name=published.name, version=published.version, run_id=published.run_id)
        trained = (model.trained.result() or {}).get("figures", {})
        if model.learned_from:
            return self._challenge(published, version, model, trained)
        current = self.tracker.champion(version.name)
        # What was decided before, or by a person since, stays.
        settled = current is not None and (published.decision != "" or current.version == version.version)
        if self.champion or not settled:
            new = load_folder(model.stage.directory / BUNDLE, name=str(version), cvae_version=cvae_version)
            published = self._decided(published, version, current, new, trained)
            self.tracker.tag_version(version, {PROMOTION_TAG: published.decision})
            served = {f"served.{name}": value for name, value in published.language.items()}
            self.tracker.reopen(version.run_id).log_metrics(served)
            write_json(model.stage.directory / _RECORD, published.record())
        self._describe(published, version, model, trained)
        now = self.tracker.champion(version.name)
        return replace(published, champion="" if now is None else now.version)

    def _challenge(
        self, published: Published, version: RegisteredVersion, model: FinishedModel, trained: Mapping[str, float]
    ) -> Published:
        """Make a version that learned from verdicts the challenger; an experiment decides whether it is better."""
        if not published.decision:
            language = dict(published.language) or self.promoter.language(
                load_folder(model.stage.directory / BUNDLE, name=str(version))
            )
            self.tracker.set_challenger(version)
            words = f"made the challenger: it learned from {model.learned_from}; {_advice(trained)}"
            published = replace(published, decision=words, decided=True, language=language)
            self.tracker.tag_version(version, {PROMOTION_TAG: words})
            write_json(model.stage.directory / _RECORD, published.record())
        self._describe(published, version, model, trained)
        now = self.tracker.champion(version.name)
        return replace(published, champion="" if now is None else now.version)

    def _describe(
        self, published: Published, version: RegisteredVersion, model: FinishedModel, trained: Mapping[str, float]
    ) -> None:
        """Describe a version that was decided about, or that an earlier release registered."""
        tags = dict(self.tracker.version_tags(version.name, version.version) or {})
        if FIGURES_TAG in tags and not published.decided:
            return
        figures = figures_text(trained, published.language)
        if model.settings:
            tags[SETTINGS_TAG] = model.settings
            self.tracker.tag_version(version, {SETTINGS_TAG: model.settings})
        self.tracker.describe(version, model.stage.directory / BUNDLE, version_summary(published, tags, figures))
        # Last: by this tag the next training knows that the version is described.
        self.tracker.tag_version(version, {FIGURES_TAG: figures})

    def _decided(
        self,
        published: Published,
        version: RegisteredVersion,
        current: RegisteredVersion | None,
        new: LoadedModel,
        trained: Mapping[str, float],
    ) -> Published:
        with tempfile.TemporaryDirectory(prefix="deephypebot-promote-") as scratch:
            language = dict(published.language) or self.promoter.language(new)
            if self.champion:
                decision = Decision(promote=True, reason="--champion was given")
            else:
                decision = self._kept(current, self._decision(new, current, trained, Path(scratch)))
        only_first = current is None and not self.champion
        made = decision.promote and self.tracker.set_champion(version, only_first=only_first)
        words = f"{'promoted' if made else 'not promoted'}: {decision.reason}"
        warning = decision.reason if decision.worse or not decision.compared else ""
        return replace(published, decision=words, decided=True, warning=warning, language=language)

    def _kept(self, current: RegisteredVersion | None, decision: Decision) -> Decision:
        """Keep a champion that a person chose."""
        if current is None or not decision.promote or self.tracker.trained_champion(current.name):
            return decision
        reason = f"the champion, {current}, was chosen by a person; {decision.reason}"
        return replace(decision, promote=False, reason=reason)

    def _decision(
        self, new: LoadedModel, current: RegisteredVersion | None, trained: Mapping[str, float], scratch: Path
    ) -> Decision:
        try:
            champion = None if current is None else load_models([current.uri], self.tracker, scratch)[0]
            prior = VersionName(model="cvae", version=new.cvae_version).uri
            # The cvae whose z the version moves; a cvae has none.
            moved = load_models([prior], self.tracker, scratch)[0] if new.cvae_version else None
        except (TrainingError, BundleError) as cause:
            reason = f"{new.name} was not compared: {cause}"
            return Decision(promote=current is None, reason=reason, compared=False)
        return self.promoter.decide(new, champion, moved, trained)

    def _recorded(self, stage: Stage) -> Published | None:
        """Read the record of the stage's version; records of earlier versions have other fields beside these."""
        path = stage.directory / _RECORD
        if not path.exists():
            return None
        with stage.reading():
            document = read_json(path)
            known = {each.name for each in fields(Published)} - {"reused", "champion", "decision", "decided"}
            return Published(**{name: value for name, value in document.items() if name in known})

    def _known(self, name: str, record: Published | None, content: str) -> RegisteredVersion | None:
        """Find the registered version of a bundle, by the stage's record or else by the bundle's content."""
        if record is not None:
            tags = self.tracker.version_tags(name, record.version)
            same = redacted(record.tracking) == redacted(self.tracker.uri) or (
                # The server or the workspace may have got another address since.
                tags is not None and record.archive_sha256 == tags.get(ARCHIVE_SHA256_TAG)
            )
            if tags is not None and same and tags.get(BUNDLE_TAG, content) == content:
                version = RegisteredVersion(name=name, version=record.version, run_id=record.run_id)
                if self.tracker.registers and BUNDLE_TAG not in tags:
                    self.tracker.tag_version(version, {BUNDLE_TAG: content})
                return version
        return self.tracker.find_version(name, BUNDLE_TAG, content)

    def _archive(
        self, version: RegisteredVersion, stage: Stage, record: Published | None, watch: Callable[[str], Progress]
    ) -> Archive:
        """Return the version's archive in the stage's folder, brought from the server or built if it is not there.

        The stage keeps its own archive, because the model store may be emptied at any time. An archive is never built
        twice for one version if it can be had: the code that it carries may have changed.
        """
        path = stage.directory / archive_name(version.name, version.version)
        tags = self.tracker.version_tags(version.name, version.version) or {}
        sha256 = tags.get(ARCHIVE_SHA256_TAG, "" if record is None else record.archive_sha256)
        if sha256 and path.exists() and file_sha256(path) == sha256:
            return Archive(path=path, sha256=sha256)
        if sha256 and self._fetched(version, path, sha256):
            return Archive(path=path, sha256=sha256)
        progress = watch(f"register {version.name}")
        progress(1, 3, f"packing version {version.version}")
        archive = build_archive(stage.directory / BUNDLE, stage.directory, version=version.version)
        progress(2, 3, "storing the archive")
        self.tracker.attach_archive(version, archive.path, archive.sha256, self._signed(archive))
        progress(3, 3, f"version {version.version}")
        return archive

    def _fetched(self, version: RegisteredVersion, path: Path, sha256: str) -> bool:
        """Bring a version's archive from the tracking server; return whether it is there and whole."""
        with tempfile.TemporaryDirectory(prefix="deephypebot-archive-") as scratch:
            try:
                brought = self.tracker.fetch_archive(version, Path(scratch))
            except TrackingError:
                return False
            if file_sha256(brought) != sha256:
                return False
            with atomic_path(path) as partial:
                shutil.copyfile(brought, partial)
        return True

    def _signed(self, archive: Archive) -> str:
        """Sign an archive that was packed a moment ago, and keep the signature beside it; empty without a key.

        What was brought from the server is never signed here: somebody else may have put it there.
        """
        path = _signature_file(archive.path)
        path.unlink(missing_ok=True)
        if self.signing_key is None:
            return ""
        signature = self.signing_key.sign(archive.path.name, archive.sha256)
        with atomic_path(path) as partial:
            partial.write_text(f"{signature}\n", encoding="utf-8")
        return signature

    def _put_in_store(self, source: Path, target: Path, sha256: str) -> None:
        if not (target.exists() and file_sha256(target) == sha256):
            with atomic_path(target) as partial:
                shutil.copyfile(source, partial)
            _signature_file(target).unlink(missing_ok=True)  # that of another content
        if _signature_file(source).exists():
            with atomic_path(_signature_file(target)) as partial:
                shutil.copyfile(_signature_file(source), partial)


def _signature_file(archive: Path) -> Path:
    return archive.with_name(archive.name + SIGNATURE_SUFFIX)


def _advice(trained: Mapping[str, float]) -> str:
    """Return what to do with a version that learned from verdicts, by the figures of its training."""
    ranks = trained.get(RANKS_BY_BOTH, 0.0) > 0
    if trained.get(LEARNED_SHARE, 0.0) > 0:
        return "it writes, and ranks what it writes, by what curators accept: compare it in an experiment"
    if ranks:
        return (
            "it writes as the version that it continues, and ranks what it writes by what curators accept: compare it "
            "in an experiment"
        )
    return (
        "it serves as the version that it continues, since ranking by what curators accept may make sentences less "
        f"different or more often copied: judge more samples, or let requests ask for it (rank_by {RankBy.BOTH})"
    )
