"""Registered versions as the registry describes them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from foundation.model_versions import VersionName
from handlers.contract import ARCHIVE_SHA256_TAG, ARCHIVE_SIGNATURE_TAG, ARCHIVE_TAG, CHALLENGER, CHAMPION, PREVIOUS

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion, RegisteredModel

LIVE_ALIASES: Final = (CHAMPION, PREVIOUS, CHALLENGER)
SYNC_ERROR_TAG: Final = "sync_error"
"""Tag that holds the reason for which a version could not be made live."""
WEIGHT_TAG: Final = "traffic_weight"
"""Tag with a version's share of the requests, in percent."""
RAMP_TAG: Final = "traffic_ramp"
"""Tag with a share that changes by the clock, instead of `WEIGHT_TAG`."""
UNITS_TAG: Final = "traffic_units"
"""Tag with units that the version answers whatever the shares are, separated by commas."""
SALT_TAG: Final = "traffic_salt"
"""Tag with the salt by which the model's units are dealt out."""
SHADOW_TAG: Final = "traffic_shadow"
"""Tag of a version that gets copies of the requests."""
DRIFT_TAG_PREFIX: Final = "drift_"
"""Beginning of the tags of a version whose traffic has drifted from its reference; the feature follows. Each feature
has a tag of its own: gateways that write at the same time, or after a restart, keep one another's alarms."""
EXPERIMENT_TAG: Final = "traffic_experiment"
"""Tag of a version that takes part in an experiment."""
DEPLOYMENT_TAG: Final = "deployment"
"""Tag with the name of a version's deployment in MLflow; the version is live for requests that pin it."""
SPLIT_TAGS: Final = (WEIGHT_TAG, RAMP_TAG, UNITS_TAG, SALT_TAG)
"""Tags that make a split; with the split they end."""
TRAFFIC_TAGS: Final = (*SPLIT_TAGS, SHADOW_TAG, EXPERIMENT_TAG, DEPLOYMENT_TAG)
_FACTS: Final = ("preset", "settings", "cvae_version", "figures", "promotion")
"""Tags that a training sets, as people read them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisteredVersion:
    """One version of a registered model."""

    model: str
    version: str
    aliases: tuple[str, ...]
    run_id: str
    archive_path: str
    """The archive among the artifacts of the run; empty if the version has none."""
    archive_sha256: str
    sync_error: str
    """Reason for which the version could not be made live; empty if there is none."""
    archive_signature: str = ""
    """Signature of the archive (`foundation.signatures`); empty if nobody signed it."""
    created: str = ""
    """Time of registration, UTC, as in 2026-01-31T23:59."""
    facts: Mapping[str, str] = field(default_factory=dict)
    """Facts of the training, where it recorded them: `preset`, `settings` that differ from the preset's, the version of
    the cvae that an lcgan moves, `figures` of the text, and the `promotion`'s reason."""

    drift: str = ""
    """Last alarm of each feature of its traffic that has drifted, one a line; empty if none has."""
    traffic: Mapping[str, str] = field(default_factory=dict)
    """Traffic tags (`TRAFFIC_TAGS`) by their names, as they are written; `serving.traffic` reads them."""

    @property
    def name(self) -> str:
        """Name for messages and commands, such as `lcgan/2`."""
        return str(VersionName(model=self.model, version=self.version))

    @property
    def should_be_live(self) -> bool:
        """Whether the version has one of the live aliases, a deployment, or a tag that wants traffic."""
        return bool(self.deployment) or self.wants_traffic or not set(LIVE_ALIASES).isdisjoint(self.aliases)

    @property
    def deployment(self) -> str:
        """Name of its deployment in MLflow; empty if it has none."""
        return self.traffic.get(DEPLOYMENT_TAG, "").strip()

    @property
    def wants_traffic(self) -> bool:
        """Whether a traffic tag asks for requests, or for copies of them; one that cannot be read counts as well.

        The version is then live before its share begins, and stays live while a person corrects a tag.
        """
        if any(self.traffic.get(tag, "").strip() for tag in (RAMP_TAG, UNITS_TAG, EXPERIMENT_TAG)):
            return True
        if self.traffic.get(SHADOW_TAG, "").strip().lower() not in ("", "false"):
            return True
        weight = self.traffic.get(WEIGHT_TAG, "").strip().removesuffix("%")
        try:
            return bool(weight) and float(weight) != 0
        except ValueError:
            return True


@dataclass(frozen=True, slots=True, kw_only=True)
class TagChange:
    """A tag of a version that is to be written or removed."""

    version: str
    tag: str
    value: str = ""
    """New text of the tag; empty to remove it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSnapshot:
    """Versions of one model that should be live, from one reading of the registry."""

    model: str
    versions: tuple[RegisteredVersion, ...]
    ignored: tuple[str, ...] = ()
    """Aliases that no version is made live for, each with the reason."""
    registered: bool = True
    """Whether the registry has the model."""
    existing: frozenset[str] = frozenset()
    """All versions of the model, those that should not be live included."""
    sync_error: str = ""
    """Tag of the model itself that says why the registry is not followed; empty if there is none."""

    @property
    def reports(self) -> tuple[str, ...]:
        """Reports for an operator: why no version answers, and which aliases are ignored."""
        if self.champion is not None:
            return self.ignored
        if not self.registered:
            return (f"{self.model} is not registered yet: waiting for `deephypebot train`", *self.ignored)
        wanted = f"waiting for `deephypebot models promote {self.model}/VERSION`"
        return (f"{self.model} has no champion: {wanted}", *self.ignored)

    @property
    def champion(self) -> RegisteredVersion | None:
        """Version that holds the alias `champion`."""
        return self.holder(CHAMPION)

    def holder(self, alias: str) -> RegisteredVersion | None:
        """Return the version that holds an alias."""
        return next((version for version in self.versions if alias in version.aliases), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """A change of champion."""

    model: str
    champion: str
    previous: str | None
    """The version that a rollback returns to; None if there is none."""
    changed: bool = True
    """Whether the champion was another one before."""
    unsplit: tuple[str, ...] = ()
    """Versions whose share of the requests ended with the move."""


def aliases_of(model: RegisteredModel) -> dict[str, str]:
    """Return the versions of a model's aliases."""
    return {alias: str(version) for alias, version in model.aliases.items()}


def end_of_split(versions: Iterable[RegisteredVersion]) -> tuple[TagChange, ...]:
    """Return the changes that end a split, in an order in which only the champion gets more requests by any of them.

    The champion's own weight comes first: without it, the champion gets what each of the others leaves. A weight goes
    before the ramp that hides it. Salts go at the end, when nothing is dealt out by them any more.

    Args:
        versions: all versions of a model.
    """
    ordered = sorted(versions, key=lambda entry: CHAMPION not in entry.aliases)
    return tuple(
        TagChange(version=entry.version, tag=tag)
        for tags in ((WEIGHT_TAG, RAMP_TAG, UNITS_TAG), (SALT_TAG,))
        for entry in ordered
        for tag in tags
        if tag in entry.traffic
    )


def registered_version(entry: ModelVersion, aliases: Mapping[str, str]) -> RegisteredVersion:
    """Return MLflow's description of a version as ours.

    Args:
        entry: MLflow's description.
        aliases: versions of the model's aliases.
    """
    version = str(entry.version)
    return RegisteredVersion(
        model=entry.name,
        version=version,
        aliases=tuple(sorted(alias for alias, holder in aliases.items() if holder == version)),
        run_id=entry.run_id or "",
        archive_path=entry.tags.get(ARCHIVE_TAG, ""),
        archive_sha256=entry.tags.get(ARCHIVE_SHA256_TAG, ""),
        archive_signature=entry.tags.get(ARCHIVE_SIGNATURE_TAG, ""),
        sync_error=entry.tags.get(SYNC_ERROR_TAG, ""),
        drift="\n".join(text for name, text in sorted(entry.tags.items()) if name.startswith(DRIFT_TAG_PREFIX)),
        created=datetime.fromtimestamp(entry.creation_timestamp / 1000, UTC).strftime("%Y-%m-%dT%H:%M"),
        facts={name: entry.tags[name] for name in _FACTS if entry.tags.get(name)},
        traffic={name: entry.tags[name] for name in TRAFFIC_TAGS if entry.tags.get(name)},
    )


def ignored_aliases(model: str, aliases: Mapping[str, str], existing: frozenset[str]) -> tuple[str, ...]:
    """Return the aliases that no version is made live for, each with the reason.

    Args:
        model: name of the registered model.
        aliases: versions of its aliases.
        existing: versions that exist.
    """
    reasons = []
    for alias, version in sorted(aliases.items()):
        if alias not in LIVE_ALIASES:
            reasons.append(
                f"the alias {alias!r} of {model}/{version} is not served: only {', '.join(LIVE_ALIASES)} are; "
                f"`deephypebot models promote` makes a version the champion"
            )
        elif version not in existing:
            reasons.append(f"the alias {alias!r} of {model} is ignored: its version {version} does not exist")
    return tuple(reasons)
