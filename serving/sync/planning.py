"""Plan of the actions that make the live versions those of the registry. Pure: no clock, no network.

The order ensures that a switch loses no request: a version is loaded and tested before it becomes champion, and
versions that are no longer wanted are removed only after that.
"""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from dataclasses import dataclass


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
    """State of one model that the registry asks for.

    Raises:
        ValueError: the champion is not among the versions.
    """

    champion: str | None
    versions: frozenset[str]
    """Versions that should be live, the champion included."""

    def __post_init__(self) -> None:
        if self.champion is not None and self.champion not in self.versions:
            raise ValueError(f"champion {self.champion} is not among {sorted(self.versions)}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Live:
    """Versions of one model that answer requests now."""

    champion: str | None
    versions: frozenset[str]


def plan(
    wanted: Wanted,
    live: Live,
    *,
    refused: AbstractSet[str] = frozenset(),
    unwanted_before: AbstractSet[str] = frozenset(),
) -> tuple[Action, ...]:
    """Return the actions in the order in which they must happen; none if the live versions are the wanted ones.

    Args:
        wanted: state that the registry asks for now.
        live: versions that answer now.
        refused: versions that failed to load and are not to be retried yet.
        unwanted_before: live versions that the previous reading of the registry did not ask for either. Only these are
            drained: a promotion writes two aliases one after the other, and a reading in between must do no harm.
    """
    loads = sorted(wanted.versions - live.versions - refused, key=lambda version: (version != wanted.champion, version))
    will_be_live = live.versions.union(loads)
    champion = wanted.champion
    switches = champion is not None and champion in will_be_live and champion != live.champion
    # A champion whose successor was refused stays live, even if the registry no longer asks for it.
    kept = {live.champion} if champion is not None and champion not in will_be_live else set()
    drains = sorted((live.versions - wanted.versions - kept) & unwanted_before)
    first = [Load(version=version) for version in loads if version == champion]
    rest = [Load(version=version) for version in loads if version != champion]
    switch = [Switch(version=champion)] if champion is not None and switches else []
    return (*first, *switch, *rest, *(Drain(version=version) for version in drains))
