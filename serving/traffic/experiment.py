"""Experiment of a model in its traffic policy: the versions that take part, and how requests come to them.

A tag on each version that takes part says so (`EXPERIMENT_TAG`). Its form is

    shorter design=interleaved since=2026-11-30T06:00:00Z

with the name of the experiment, its design and its start in UTC.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Final, Self

from foundation.model_versions import VersionName
from serving.errors import PolicyError
from serving.registry.versions import EXPERIMENT_TAG

EXAMPLE: Final = "shorter design=interleaved since=2026-11-30T06:00:00Z"
_KEYS: Final = ("design", "since")
_NAME: Final = re.compile(r"[a-z0-9-]{1,40}")
_MIN_ARMS: Final = 2


class ExperimentDesign(StrEnum):
    """Way in which the samples of an experiment's versions come to its units. The two are never mixed."""

    INTERLEAVED = "interleaved"
    """A request that asks for it gets samples of every arm, in equal numbers; all others are answered as if there were
    no experiment. Songs are compared with themselves."""
    STICKY = "sticky"
    """A request is answered by one arm, to which the split gives its unit. Songs are compared with other songs."""


def check_experiment_name(name: str) -> None:
    """Check the name of an experiment.

    Raises:
        ValueError: it is not one.
    """
    if not _NAME.fullmatch(name):
        raise ValueError(
            f"{name[:80]!r} is not a name of an experiment: use 1 to 40 lower-case letters, digits and hyphens"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ExperimentMark:
    """Text of the tag of a version that takes part in an experiment.

    Raises:
        ValueError: the name is not one, or the start has no time zone.
    """

    name: str
    design: ExperimentDesign
    since: datetime

    def __post_init__(self) -> None:
        check_experiment_name(self.name)
        if self.since.tzinfo is None:
            raise ValueError(f"since must have a time zone, got {self.since.isoformat()}")

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a mark from its tag.

        Raises:
            ValueError: the text is not a mark.

        >>> ExperimentMark.parse("shorter design=interleaved since=2026-11-30T06:00:00Z").name
        'shorter'
        """
        name, *parts = text.split() or [""]
        pairs = [part.partition("=")[::2] for part in parts]
        values = dict(pairs)
        if len(pairs) != len(_KEYS) or set(values) != set(_KEYS):
            raise ValueError(f"it has a name, design and since, each once, as in {EXAMPLE!r}")
        if values["design"] not in set(ExperimentDesign):
            raise ValueError(f"design must be {' or '.join(ExperimentDesign)}, got {values['design'][:80]!r}")
        try:
            since = datetime.fromisoformat(values["since"])
        except ValueError:
            raise ValueError(f"since must be a time in UTC, as in {EXAMPLE!r}") from None
        return cls(name=name, design=ExperimentDesign(values["design"]), since=since)

    def __str__(self) -> str:
        """Return the text of the tag."""
        return f"{self.name} design={self.design} since={self.since.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ExperimentArms:
    """The running experiment of a model."""

    name: str
    design: ExperimentDesign
    versions: tuple[str, ...]
    """Versions that take part, in the order of their numbers."""

    @property
    def is_interleaved(self) -> bool:
        """Whether a request can ask for samples of all arms."""
        return self.design is ExperimentDesign.INTERLEAVED


def experiment_of(model: str, marks: Mapping[str, ExperimentMark]) -> ExperimentArms | None:
    """Return the experiment of a model; None if no version takes part in one.

    Args:
        model: name of the registered model.
        marks: mark of each version that takes part, in the order of their numbers.

    Raises:
        PolicyError: the versions take part in two experiments or by two designs, or one is alone in it.
    """
    if not marks:
        return None
    names = {mark.name for mark in marks.values()}
    told = ", ".join(f"{VersionName(model=model, version=version)} has {mark}" for version, mark in marks.items())
    if len(names) > 1:
        raise PolicyError(
            f"the tags {EXPERIMENT_TAG} name {len(names)} experiments ({told}): {model} has one at a time; stop one "
            "(`deephypebot experiment stop NAME`), or remove its tags"
        )
    (name,) = names
    if len({mark.design for mark in marks.values()}) > 1:
        raise PolicyError(f"the tags {EXPERIMENT_TAG} name two designs ({told}): write the same on all versions")
    if len(marks) < _MIN_ARMS:
        raise PolicyError(
            f"the experiment {name} has one version ({told}), and there is nothing to compare it with: end it "
            f"(`deephypebot experiment stop {name}`), or write the tag {EXPERIMENT_TAG} on another version"
        )
    return ExperimentArms(name=name, design=next(iter(marks.values())).design, versions=tuple(marks))
