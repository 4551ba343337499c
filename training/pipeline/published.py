"""Model versions of a training: what is registered, and what became of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from foundation.model_versions import VersionName
from handlers.contract import archive_name
from training.pipeline.stages import Stage

PROMOTION_TAG: Final = "promotion"
"""Tag of a registered version: whether it became the champion when it was trained, and why."""
BUNDLE_TAG: Final = "bundle_sha256"
"""Tag of a registered version: hash of its bundle's content, by which later trainings recognise it."""

VERDICTS_TAG: Final = "verdicts"
"""Tag of a registered version: verdicts that it was trained on, in words, if there are any."""
SETTINGS_TAG: Final = "settings"
"""Tag of a registered version: settings that differ from the preset's, if there are any."""
FIGURES_TAG: Final = "figures"
"""Tag of a registered version: its key figures in a line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """Registered version with an archive in the model store."""

    name: str
    version: str
    run_id: str
    archive: str
    """Path of the archive, in the model store; in the stage's record, relative to the record."""
    archive_sha256: str
    tracking: str
    reused: bool = True
    """Whether the version existed before this training."""
    champion: str = ""
    """Version that the registry calls the champion; empty without one."""
    decision: str = ""
    """The decision whether to make it the champion, in words; empty where nothing was decided."""
    decided: bool = False
    """Whether this training decided; otherwise an earlier one did."""
    warning: str = ""
    """Reason to look at the version before it is used; empty for a version as it should be."""
    unsigned: bool = False
    """Whether it has no signature although the training has a key, since its archive was there already."""
    language: Mapping[str, float] = field(default_factory=dict)
    """Figures of the language that it writes, and of real text."""

    def __str__(self) -> str:
        """Return the version as commands take and print it."""
        return str(VersionName(model=self.name, version=self.version))

    @property
    def is_champion(self) -> bool:
        """Whether the registry calls this version the champion."""
        return self.champion == self.version

    def record(self) -> dict[str, Any]:
        """Return the document of published.json: what is true of the version wherever its folder is."""
        kept = ("name", "version", "run_id", "archive_sha256", "tracking", "warning", "language")
        archive = {"archive": archive_name(self.name, self.version)}
        return {**{name: getattr(self, name) for name in kept}, **archive}


@dataclass(frozen=True, slots=True, kw_only=True)
class FinishedModel:
    """Model that is trained, and not registered yet."""

    name: str
    stage: Stage
    """Stage with the complete bundle."""
    trained: Stage
    """Stage of the model's training, whose run gets the version."""
    settings: str = ""
    """Settings that differ from the preset's, as `--set` takes them."""
    learned_from: str = ""
    """Verdicts that it was trained on, in words. Such a version becomes the challenger and never the champion."""
