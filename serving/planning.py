"""What has to happen so that what is live becomes what the registry wants. Pure: no clock, no network.

The order is what makes a switch lose no request: a version is loaded and proven before it becomes champion, and the
versions that nobody wants leave only after that.
"""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """Fetch, verify, register, prove by a canary, and let the version answer pins."""

    version: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Switch:
    """Let the version answer requests without a pin."""

    version: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Drain:
    """Take the version out, wait for what it still answers, and unregister it."""

    version: str


Action = Load | Switch | Drain


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What the registry says about one model.

    Raises:
        ValueError: the champion is not among the versions.
    """

    champion: str | None
    versions: frozenset[str]
    """Everything that should be live, the champion included."""

    def __post_init__(self) -> None:
        if self.champion is not None and self.champion not in self.versions:
            raise ValueError(f"champion {self.champion} is not among {sorted(self.versions)}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Live:
    """What answers at the moment."""

    champion: str | None
    versions: frozenset[str]


def plan(
    wanted: Wanted,
    live: Live,
    *,
    refused: AbstractSet[str] = frozenset(),
    unwanted_before: AbstractSet[str] = frozenset(),
) -> tuple[Action, ...]:
    """Actions in the order in which they must happen; none when all is as wanted.

    Args:
        wanted: what the registry says now.
        live: what answers now.
        refused: versions that could not be loaded and are not to be tried at the moment.
        unwanted_before: live versions that the previous reading of the registry did not want either. Only these are
            drained: a promotion writes two aliases one after the other, and a reading in between must do no harm.
    """
    loads = sorted(wanted.versions - live.versions - refused, key=lambda version: (version != wanted.champion, version))
    will_be_live = live.versions.union(loads)
    champion = wanted.champion
    switches = champion is not None and champion in will_be_live and champion != live.champion
    # A champion whose successor was refused keeps answering, whatever the registry says.
    kept = {live.champion} if champion is not None and champion not in will_be_live else set()
    drains = sorted((live.versions - wanted.versions - kept) & unwanted_before)
    first = [Load(version=version) for version in loads if version == champion]
    rest = [Load(version=version) for version in loads if version != champion]
    switch = [Switch(version=champion)] if champion is not None and switches else []
    return (*first, *switch, *rest, *(Drain(version=version) for version in drains))
