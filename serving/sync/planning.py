"""Plan of the actions that make the live versions those that are wanted. Pure: no clock, no network.

The order ensures that a switch loses no request: a version is loaded and tested before it becomes champion, and
versions that are no longer wanted are removed only after that. A plan holds what can be done now; loads take their
time, and when one ends there is a new plan.
"""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """Fetch, verify and register the version, test it with a canary, and let it answer requests that pin it."""

    version: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Switch:
    """Let the version answer requests that pin no version."""

    version: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Drain:
    """Remove the version from the routing table, wait for its requests in flight, and unregister it."""

    version: str


Action = Load | Switch | Drain


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """State of one model that sync works towards.

    Raises:
        ValueError: the champion is not among the versions.
    """

    champion: str | None
    versions: frozenset[str]
    """Versions that should be live, the champion included."""
    fallbacks: tuple[str, ...] = ()
    """Versions that answer while the champion cannot and nothing else does, the best first. They need not be among the
    versions."""

    def __post_init__(self) -> None:
        if self.champion is not None and self.champion not in self.versions:
            raise ValueError(f"champion {self.champion} is not among {sorted(self.versions)}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Live:
    """Versions of one model that answer requests now."""

    champion: str | None
    """Version that answers requests without a pin."""
    versions: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Bounds on the loads of one model that run at once."""

    alone_s: float = 10.0
    """Time for which the champion, and the first version of a model, load alone. One that takes longer delays no other:
    the others then load beside it, and a fallback answers."""
    others: int = 2
    """Versions besides the champion that load side by side."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempts:
    """Loads of one model that failed, and those that run."""

    refused: AbstractSet[str] = frozenset()
    """Versions that failed to load and are not to be retried yet."""
    loading: Mapping[str, float] = field(default_factory=dict)
    """Versions that are being loaded, with the seconds since each load began."""


def plan(
    wanted: Wanted,
    live: Live,
    *,
    attempts: Attempts | None = None,
    released: AbstractSet[str] = frozenset(),
    limits: Limits | None = None,
) -> tuple[Action, ...]:
    """Return the actions that are possible now, in their order; none if there is nothing to do but to wait.

    Args:
        wanted: state to reach.
        live: versions that answer now.
        attempts: loads that failed or run.
        released: live versions that may be removed. A promotion writes two aliases one after the other, and people move
            an alias in two clicks: after one reading that does not ask for a version it must not be thrown away.
        limits: bounds on the loads that run at once.
    """
    attempts, limits = attempts or Attempts(), limits or Limits()
    champion = wanted.champion
    stand_in = _stand_in(wanted, live, attempts, limits)
    loads = _loads([each for each in (champion, stand_in) if each is not None], wanted, live, attempts, limits)
    is_live = champion in live.versions
    answering = champion if is_live else stand_in
    kept = {champion} if is_live else {live.champion, *wanted.fallbacks}
    switch: list[Action] = []
    if answering is not None and answering in live.versions and answering != live.champion:
        switch = [Switch(version=answering)]
    drains = sorted((live.versions & released) - wanted.versions - kept)
    return (*switch, *loads, *(Drain(version=version) for version in drains))


def _stand_in(wanted: Wanted, live: Live, attempts: Attempts, limits: Limits) -> str | None:
    """Return the version that should answer in the champion's place; None if no other has to.

    One that is live answers at once. Another is loaded where the champion was refused, or takes long.
    """
    if wanted.champion is None or wanted.champion in live.versions or live.champion is not None:
        return None
    able = [each for each in wanted.fallbacks if each != wanted.champion and each not in attempts.refused]
    if (ready := next((each for each in able if each in live.versions), None)) is not None:
        return ready
    refused = wanted.champion in attempts.refused
    slow = attempts.loading.get(wanted.champion, 0.0) >= limits.alone_s
    return able[0] if able and (refused or slow) else None


def _loads(first: list[str], wanted: Wanted, live: Live, attempts: Attempts, limits: Limits) -> tuple[Load, ...]:
    """Return the loads that may start now: the first ones, then the others."""
    needed = [*first, *sorted(wanted.versions - set(first))]
    done = live.versions | attempts.refused | attempts.loading.keys()
    ages_s = dict(attempts.loading)
    started: list[str] = []
    for version in [each for each in needed if each not in done]:
        young = {each for each, age_s in ages_s.items() if age_s < limits.alone_s}
        # The worker host loses a version if the first two of a model are registered in the same moment.
        if young and not live.versions:
            break
        if version not in first and (
            wanted.champion in young or len(ages_s.keys() - {wanted.champion}) >= limits.others
        ):
            break
        ages_s[version] = 0.0
        started.append(version)
    return tuple(Load(version=version) for version in started)
