"""Traffic policy of a model: the versions that share its requests, by which shares, and those that get copies.

A policy is a value: it is made from one reading of the registry and never changes. The same policy and the same unit
give the same version on every host and after every restart.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from foundation.model_versions import VersionName
from serving.errors import PolicyError
from serving.registry.versions import SALT_TAG, UNITS_TAG, WEIGHT_TAG, RegisteredVersion
from serving.traffic.assignment import Range, bucket_after, bucket_ranges, choose_variation, fnv1a32
from serving.traffic.experiment import ExperimentArms, experiment_of
from serving.traffic.ramp import RampStep
from serving.traffic.tags import TrafficTags, read_tags

WHOLE: Final = 100.0
"""Sum of the weights that the champion's own is left out of: it gets what the others leave."""
ROUNDING: Final = 1e-6
"""Part of a percent by which a sum may miss the whole: three thirds are written with ten digits."""


class AssignedBy(StrEnum):
    """Reason for which a version answers a request."""

    PIN = "pin"
    """The request names the version."""
    OVERRIDE = "override"
    """The policy gives the request's unit to this version by name."""
    UNIT = "unit"
    """The hash of the request's unit falls into the version's range."""
    RANDOM = "random"
    """The request has no unit and was dealt out at random."""
    ALONE = "alone"
    """There is no split: one version answers everything."""
    FALLBACK = "fallback"
    """The version that the policy gives is not live, and this one answers in its place."""
    INTERLEAVED = "interleaved"
    """The request asked for all arms of an experiment, and this version is one of them."""


_BY_CHANCE: Final = {
    True: frozenset({AssignedBy.INTERLEAVED}),
    False: frozenset({AssignedBy.UNIT, AssignedBy.RANDOM}),
}
"""Reasons for a version by which an answer belongs to an experiment, by whether it is interleaved."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Assignment:
    """Version for one request, and the reason."""

    version: str
    by: AssignedBy


@dataclass(frozen=True, slots=True, kw_only=True)
class Arm:
    """Version that shares a model's requests."""

    version: str
    share: float
    """Share of the requests, more than 0 and at most 1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrafficPolicy:
    """Policy of one model.

    Each arm has one range of the buckets from 0 to 1, in the order of the versions' numbers, as long as its share. A
    unit moves to another version only where its bucket comes into another range. Of two versions, the ramp of one moves
    just the units that it takes. Of three, a version between two others keeps the length of its range while the others
    change, and its range shifts.
    """

    model: str
    arms: tuple[Arm, ...]
    """Versions in the order of their numbers; their shares sum to 1. Empty while no version may answer."""
    shadows: tuple[str, ...] = ()
    """Versions that get copies of the requests, and whose answers no client sees."""
    salt: str = ""
    """Salt of the hash; with a new one, all units are dealt out again."""
    overrides: Mapping[str, str] = field(default_factory=dict)
    """Units that are given to a version by name."""
    experiment: ExperimentArms | None = None
    """Running experiment; None if there is none."""
    next_steps: Mapping[str, RampStep] = field(default_factory=dict)
    """Next step of each version whose ramp still runs."""
    reports: tuple[str, ...] = ()
    """Notes for an operator: tags that count, and may be a mistake."""
    revision: str = field(init=False)
    """Digest of what decides about requests, equal on all hosts: 12 hexadecimal digits."""
    _ranges: tuple[Range, ...] = field(init=False, repr=False, compare=False)
    _salted: int = field(init=False, repr=False, compare=False)
    _assignments: Mapping[AssignedBy, tuple[Assignment, ...]] = field(init=False, repr=False, compare=False)
    _given: Mapping[str, Assignment] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        # All that a request needs is made here: an assignment is a hash and two look-ups.
        arms = [[arm.version, arm.share] for arm in self.arms]
        content: list[object] = [self.model, arms, sorted(self.shadows), self.salt, sorted(self.overrides.items())]
        if self.experiment is not None:
            content.append([self.experiment.name, self.experiment.design, self.experiment.versions])
        given = {unit: Assignment(version=version, by=AssignedBy.OVERRIDE) for unit, version in self.overrides.items()}
        for name, value in (
            ("revision", hashlib.sha256(json.dumps(content).encode()).hexdigest()[:12]),
            ("_ranges", bucket_ranges(len(arms), weights=[arm.share for arm in self.arms])),
            ("_salted", fnv1a32(self.salt)),
            (
                "_assignments",
                {by: tuple(Assignment(version=arm.version, by=by) for arm in self.arms) for by in AssignedBy},
            ),
            ("_given", given),
        ):
            object.__setattr__(self, name, value)

    def assign(self, unit: str | None, draw: Callable[[], float]) -> Assignment | None:
        """Return the version for a request without a pin; None while no version may answer.

        Args:
            unit: unit of the request; None, or an empty text, if it has none.
            draw: returns a number from 0 to below 1, at random, for a request without a unit.
        """
        if unit and (given := self._given.get(unit)) is not None:
            return given
        if len(self.arms) <= 1:
            return self._assignments[AssignedBy.ALONE][0] if self.arms else None
        by, bucket = (AssignedBy.UNIT, bucket_after(self._salted, unit)) if unit else (AssignedBy.RANDOM, draw())
        # The sum of the shares may miss 1 by the rounding of floats; the last arm has what is left (index -1).
        return self._assignments[by][choose_variation(bucket, self._ranges)]

    @property
    def versions(self) -> frozenset[str]:
        """Versions that the policy needs live: those that answer, by a share, for a unit or an experiment; shadows."""
        compared = self.experiment.versions if self.experiment is not None else ()
        return frozenset((*(arm.version for arm in self.arms), *self.overrides.values(), *self.shadows, *compared))

    @property
    def interleaved(self) -> ExperimentArms | None:
        """Running experiment whose arms a request can ask for all at once; None if there is none."""
        return self.experiment if self.experiment is not None and self.experiment.is_interleaved else None

    def experiment_of(self, assignment: Assignment) -> str:
        """Return the experiment to which the answer to a request belongs; empty if it belongs to none.

        Of the sticky design these are the answers of an arm that chance chose. Units that are given to a version by
        name, pins, and requests that another version answers in an arm's place tell nothing about the arms.
        """
        experiment = self.experiment
        if experiment is None or assignment.version not in experiment.versions:
            return ""
        return experiment.name if assignment.by in _BY_CHANCE[experiment.is_interleaved] else ""

    def share(self, version: str) -> float:
        """Return the share of a version, 0 if it is not an arm."""
        return next((arm.share for arm in self.arms if arm.version == version), 0.0)


def make_policy(
    model: str, *, champion: str | None, versions: Iterable[RegisteredVersion], now: float
) -> TrafficPolicy:
    """Make the policy of a model from its versions' tags. Pure: a ramp goes on while the registry cannot be read.

    Without weights the champion answers everything. A champion without a weight of its own gets what the others leave
    of 100. Otherwise a share is a weight over the sum of the weights. An alias other than `champion` gives no share.

    Args:
        model: name of the registered model.
        champion: version that holds the alias `champion`; None if none does.
        versions: versions with tags, in any order; those without any change nothing.
        now: time in seconds since 1970, for the ramps.

    Raises:
        PolicyError: a tag cannot be understood, or the tags contradict each other; the message names the way out.
    """
    entries = sorted(versions, key=lambda entry: _number(entry.version))
    tags = {entry.version: read_tags(entry, now) for entry in entries}
    weights = {version: read.weight for version, read in tags.items() if read.weight is not None}
    shares = _shares(model, champion, weights)
    arms = tuple(Arm(version=version, share=shares[version]) for version in sorted(shares, key=_number))
    experiment = experiment_of(
        model, {version: read.experiment for version, read in tags.items() if read.experiment is not None}
    )
    return TrafficPolicy(
        model=model,
        arms=arms,
        shadows=tuple(version for version, read in tags.items() if read.shadow),
        salt=_salt(model, tags),
        overrides=_overrides(model, tags),
        experiment=experiment,
        next_steps={
            version: step
            for version, read in tags.items()
            if read.ramp is not None and (step := read.ramp.next_step(now)) is not None
        },
        reports=(
            *_reports(model, champion, weights, arms),
            *_unshared(model, experiment, shares),
            *(
                f"{entry.name} has a ramp, so its tag {WEIGHT_TAG} does not count"
                for entry in entries
                if tags[entry.version].ramp is not None and entry.traffic.get(WEIGHT_TAG, "").strip()
            ),
        ),
    )


def _shares(model: str, champion: str | None, weights: Mapping[str, float]) -> dict[str, float]:
    """Return the shares, more than 0 each, of the versions that answer; they sum to 1."""
    told = ", ".join(f"{version}={weight:.10g}" for version, weight in weights.items())
    total = math.fsum(weights.values())
    all_weights = dict(weights)
    if champion is None:
        if total and abs(total - WHOLE) > ROUNDING:
            raise PolicyError(
                f"{model} has no champion, and its weights ({told}) sum to {total:.10g} instead of 100: promote a "
                f"version (`deephypebot models promote {model}/VERSION`), which then answers the rest"
            )
    elif champion not in weights:
        if total > WHOLE + ROUNDING:
            raise PolicyError(
                f"the weights of {model} ({told}) sum to {total:.10g}, and leave nothing of 100 for the champion "
                f"{model}/{champion}, which has none: lower them, or give {model}/{champion} a weight too"
            )
        all_weights[champion] = max(WHOLE - total, 0.0)
        total = math.fsum(all_weights.values())
    elif not total:
        raise PolicyError(
            f"the weights of {model} ({told}) sum to 0, so no version would answer: set them with `deephypebot models "
            f"split {model} VERSION=WEIGHT ...`, or end the split with --end"
        )
    return {version: share for version, weight in all_weights.items() if (share := weight / (total or 1.0)) > 0}


def _salt(model: str, tags: Mapping[str, TrafficTags]) -> str:
    """Return the one salt of the tags; the model's name if there is none."""
    found = {version: read.salt for version, read in tags.items() if read.salt is not None}
    salts = sorted(set(found.values()))
    if len(salts) > 1:
        told = ", ".join(f"{_name(model, version)} has {salt!r}" for version, salt in found.items())
        raise PolicyError(f"the tags {SALT_TAG} differ ({told}): units have one salt; remove all but one")
    return salts[0] if salts else model


def _overrides(model: str, tags: Mapping[str, TrafficTags]) -> dict[str, str]:
    overrides: dict[str, str] = {}
    for version, read in tags.items():
        for unit in read.units:
            if unit in overrides:
                raise PolicyError(
                    f"the tags {UNITS_TAG} of {_name(model, overrides[unit])} and {_name(model, version)} both name "
                    f"the unit {unit[:80]!r}: take it out of one",
                    version=version,
                )
            overrides[unit] = version
    return overrides


def _reports(model: str, champion: str | None, weights: Mapping[str, float], arms: Iterable[Arm]) -> Iterable[str]:
    """Return what an operator should know of a split in which the champion has a weight of its own."""
    if champion is None or champion not in weights:
        return
    shares = {arm.version: arm.share for arm in arms}
    if (own := shares.get(champion, 0.0)) < max(shares.values()):
        yield (
            f"the champion {_name(model, champion)} answers {100 * own:.4g}% of the requests, as the weights say; "
            f"`deephypebot models split {model} --end` lets it answer all"
        )
    if abs((total := math.fsum(weights.values())) - WHOLE) > ROUNDING:
        told = ", ".join(f"{version}={100 * share:.4g}%" for version, share in shares.items())
        yield f"the weights of {model} sum to {total:.10g} instead of 100: the shares are {told}"


def _unshared(model: str, experiment: ExperimentArms | None, shares: Mapping[str, float]) -> Iterable[str]:
    """Return what an operator should know of an experiment whose arms the split does not reach."""
    if experiment is None or experiment.is_interleaved:
        return
    missing = [str(_name(model, version)) for version in experiment.versions if not shares.get(version)]
    if missing:
        yield (
            f"the experiment {experiment.name} deals units out by the shares of {model}, and {', '.join(missing)} has "
            f"none: give it one (`deephypebot models split {model} VERSION=WEIGHT ...`), or end the experiment "
            f"(`deephypebot experiment stop {experiment.name}`)"
        )


def _number(version: str) -> tuple[int, str]:
    return (len(version), version)


def _name(model: str, version: str) -> VersionName:
    return VersionName(model=model, version=version)
