"""Traffic tags of one version, read from their texts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, NoReturn, TypeVar

from serving.errors import PolicyError
from serving.registry.versions import (
    EXPERIMENT_TAG,
    RAMP_TAG,
    SALT_TAG,
    SHADOW_TAG,
    UNITS_TAG,
    WEIGHT_TAG,
    RegisteredVersion,
)
from serving.traffic.experiment import ExperimentMark
from serving.traffic.ramp import Ramp, parse_weight

_T = TypeVar("_T")

_SHADOW: Final = {"true": True, "false": False}
_MAX_SHOWN: Final = 80


@dataclass(frozen=True, slots=True, kw_only=True)
class TrafficTags:
    """Wishes of one version about its traffic."""

    weight: float | None
    """Weight of its own; None if it has none. Where the version has a ramp, the ramp's."""
    ramp: Ramp | None
    shadow: bool
    salt: str | None
    units: tuple[str, ...]
    experiment: ExperimentMark | None = None
    """Experiment in which it takes part; None if it does in none."""


def read_tags(version: RegisteredVersion, now_s: float) -> TrafficTags:
    """Read the tags of a version. A tag without text counts as none, and a ramp counts instead of a weight.

    Args:
        version: the version.
        now_s: time in seconds since 1970, for its ramp.

    Raises:
        PolicyError: a tag cannot be understood; the message names it.
    """
    ramp = _read(version, RAMP_TAG, Ramp.parse)
    # A weight beside a ramp is read all the same: what is wrong is told before the ramp is taken away.
    weight = _read(version, WEIGHT_TAG, parse_weight)
    if ramp is not None:
        weight = ramp.weight(now_s)
    shadow = _read(version, SHADOW_TAG, _parse_shadow) or False
    units = tuple(dict.fromkeys(filter(None, map(str.strip, version.traffic.get(UNITS_TAG, "").split(",")))))
    experiment = _read(version, EXPERIMENT_TAG, ExperimentMark.parse)
    if experiment is not None and shadow:
        _refuse(version, SHADOW_TAG, f"the version takes part in the experiment {experiment.name} ({EXPERIMENT_TAG})")
    wishes = {
        RAMP_TAG: ramp is not None,
        WEIGHT_TAG: bool(weight),
        SHADOW_TAG: shadow,
        UNITS_TAG: bool(units),
        EXPERIMENT_TAG: experiment is not None,
    }
    wished = next((tag for tag, is_wish in wishes.items() if is_wish), None)
    if wished is not None and not version.archive_sha256:
        _refuse(version, wished, "the version has no archive, so it cannot answer; register it again")
    return TrafficTags(
        weight=weight,
        ramp=ramp,
        shadow=shadow,
        salt=version.traffic.get(SALT_TAG, "").strip() or None,
        units=units,
        experiment=experiment,
    )


def _read(version: RegisteredVersion, tag: str, parse: Callable[[str], _T]) -> _T | None:
    text = version.traffic.get(tag, "").strip()
    if not text:
        return None
    try:
        return parse(text)
    except ValueError as fault:
        _refuse(version, tag, str(fault))


def _parse_shadow(text: str) -> bool:
    if (known := _SHADOW.get(text.lower())) is None:
        raise ValueError("write 'true', or remove the tag")
    return known


def _refuse(version: RegisteredVersion, tag: str, reason: str) -> NoReturn:
    text = version.traffic.get(tag, "")
    shown = text if len(text) <= _MAX_SHOWN else text[:_MAX_SHOWN] + "…"
    raise PolicyError(
        f"the tag {tag} of {version.name} is {shown!r}: {reason}. Correct the tag, or remove it",
        version=version.version,
    )
