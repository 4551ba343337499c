"""State that sync works towards, from the readings of the registry. Pure: readings and the clock are arguments.

A reading is an instruction only where it says something. Whatever a single one leaves out, what answers stays:

- A champion answers until another one is named, although its alias or its version is gone.
- Another version leaves when no reading of a grace period asked for it, and at least two readings did not.
- A reading without any version (the model is not registered; another, empty registry answers) changes nothing until
  such readings fill a grace period, and then too the champion stays.
- Traffic tags that contradict each other change nothing: the last good ones count.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final, Self

from handlers.contract import PREVIOUS
from serving.errors import PolicyError
from serving.registry.versions import ModelSnapshot, RegisteredVersion
from serving.sync.last_good import LastGood
from serving.sync.planning import Live, Wanted

_CONFIRMING: Final = 2
"""Readings that have to agree, however long the grace period is."""

Check = Callable[[str | None, tuple[RegisteredVersion, ...]], object]
"""Function that raises a `PolicyError` if the traffic tags of versions cannot be followed, given the champion."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Absence:
    """Readings in a row that did not ask for something."""

    since_s: float
    """Time of the first, on a clock that never goes back."""
    readings: int = 1

    def is_confirmed(self, now_s: float, grace_s: float) -> bool:
        """Return whether the readings fill the grace period."""
        return self.readings >= _CONFIRMING and now_s - self.since_s >= grace_s


@dataclass(frozen=True, slots=True, kw_only=True)
class Desired:
    """State of one model that sync works towards."""

    model: str
    champion: str | None = None
    """Version that should answer requests without a pin: the one named last."""
    previous: str | None = None
    """Version to which a rollback returns."""
    answered: str | None = None
    """Version that answered last, as long as none has since."""
    asked: frozenset[str] = frozenset()
    """Versions that the last reading asked for."""
    known: Mapping[str, RegisteredVersion] = field(default_factory=dict)
    """Last description of each version that is asked for or live."""
    tagged: tuple[RegisteredVersion, ...] = ()
    """Versions whose traffic tags count: those of the last reading that could be followed."""
    absences: Mapping[str, Absence] = field(default_factory=dict)
    """Versions that readings do not ask for any more."""
    emptiness: Absence | None = None
    """Readings in a row that held no version."""
    deletion: Absence | None = None
    """Readings in a row in which a version with a part in the traffic did not exist."""
    faults: Mapping[str, str] = field(default_factory=dict)
    """Reasons for which the registry is not followed, by the version whose tag tells it; an empty name is the model."""
    reports: tuple[str, ...] = ()
    """Further reports to an operator, for the log alone."""

    @classmethod
    def restored(cls, model: str, state: LastGood | None) -> Self:
        """Return the state to begin with: what answered before, if anything did."""
        if state is None:
            return cls(model=model)
        return cls(
            model=model,
            champion=state.champion,
            previous=state.previous,
            answered=state.champion,
            asked=frozenset(entry.version for entry in state.versions),
            known={entry.version: entry for entry in state.versions},
            tagged=state.tagged,
        )

    def last_good(self, champion: str, versions: frozenset[str]) -> LastGood | None:
        """Return the state to begin with another time; None if the version that answers is not known."""
        if champion not in self.known:
            return None
        entries = [self.known.get(version) for version in sorted(versions, key=int)]
        return LastGood(
            model=self.model,
            champion=champion,
            previous=self.previous,
            versions=tuple(entry for entry in entries if entry is not None),
            tagged=self.tagged,
        )

    @property
    def wanted(self) -> Wanted:
        """Versions that should be live."""
        champion = self.champion if self.champion in self.known else None
        versions = {version for version in self.asked if version in self.known}
        fallbacks = [self.answered, self.previous]
        return Wanted(
            champion=champion,
            versions=frozenset(versions if champion is None else {*versions, champion}),
            fallbacks=tuple(
                dict.fromkeys(
                    each for each in fallbacks if each is not None and each in self.known and each != champion
                )
            ),
        )

    def released(self, now_s: float, grace_s: float) -> frozenset[str]:
        """Return the versions that may be removed, since no reading of the grace period asked for them."""
        gone = {version for version, absence in self.absences.items() if absence.is_confirmed(now_s, grace_s)}
        return frozenset(gone - {self.champion})


def next_desired(
    before: Desired, reading: ModelSnapshot, live: Live, *, check: Check, now_s: float, grace_s: float
) -> Desired:
    """Return the desired state after one more reading of the registry.

    Args:
        before: desired state until now.
        reading: the reading.
        live: versions that answer now.
        check: raises a `PolicyError` if the traffic tags cannot be followed.
        now_s: time of the reading, on a clock that never goes back.
        grace_s: time for which a version that is not asked for stays.
    """
    answered = live.champion or before.answered
    emptiness = None if reading.versions else _one_more(before.emptiness, now_s)
    if emptiness is not None and not emptiness.is_confirmed(now_s, grace_s):
        reports = reading.reports if before.champion is None else before.reports
        return replace(before, answered=answered, emptiness=emptiness, reports=reports)
    found = {entry.version: entry for entry in reading.versions}
    named, held = reading.champion, answered or before.champion
    champion = named.version if named is not None else held
    known = {**before.known, **{version: _as_loaded(entry, before, live) for version, entry in found.items()}}
    tags_gone = None if emptiness is None else _Split(tagged=())
    split = tags_gone or _next_split(before, reading, live.champion or champion, check, now_s=now_s, grace_s=grace_s)
    asked = frozenset(found.keys() | {entry.version for entry in split.tagged if entry.version in known})
    faults = split.faults
    if named is None and held is not None:
        faults = _joined(faults, _held(before.model, held, reading))
    previous = reading.holder(PREVIOUS)
    kept = {each for each in (champion, answered) if each is not None}
    return Desired(
        model=before.model,
        champion=champion,
        previous=previous.version if previous is not None else before.previous,
        answered=answered,
        asked=asked,
        known={version: known[version] for version in known.keys() & (asked | kept | live.versions)},
        tagged=split.tagged,
        absences={
            version: emptiness or _one_more(before.absences.get(version), now_s) for version in live.versions - asked
        },
        emptiness=emptiness,
        deletion=split.deletion,
        faults=faults,
        reports=(*(reading.reports if champion is None else reading.ignored), *_changed(before, found, live)),
    )


def _one_more(absence: Absence | None, now_s: float) -> Absence:
    return Absence(since_s=now_s) if absence is None else replace(absence, readings=absence.readings + 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Split:
    """Traffic tags that count after a reading, and the reasons for which they are not those of the reading."""

    tagged: tuple[RegisteredVersion, ...]
    deletion: Absence | None = None
    faults: Mapping[str, str] = field(default_factory=dict)


def _next_split(
    before: Desired, reading: ModelSnapshot, answering: str | None, check: Check, *, now_s: float, grace_s: float
) -> _Split:
    deleted = [entry.name for entry in before.tagged if entry.wants_traffic and entry.version not in reading.existing]
    deletion = _one_more(before.deletion, now_s) if deleted else None
    if deletion is not None and not deletion.is_confirmed(now_s, grace_s):
        told = f"{', '.join(deleted)} had a part in the traffic and does not exist any more: the split ends soon"
        return _Split(tagged=before.tagged, deletion=deletion, faults={"": told})
    try:
        check(answering, reading.versions)
    except PolicyError as fault:
        # A version whose tag cannot be read may be one that the last good split does not know.
        at_fault = fault.version if fault.version in {entry.version for entry in reading.versions} else None
        return _Split(tagged=before.tagged, faults={at_fault or "": f"{fault}; until then the last good split stays"})
    return _Split(tagged=reading.versions)


def _held(model: str, champion: str, reading: ModelSnapshot) -> dict[str, str]:
    """Return why a champion answers that the registry does not name, by the version whose tag tells it."""
    way_out = f"it keeps answering until another is named (`deephypebot models promote {model}/VERSION`)"
    if not reading.registered:
        return {"": f"the registry does not have {model} any more: {model}/{champion} answered last, and {way_out}"}
    if champion not in reading.existing:
        return {"": f"the champion {model}/{champion} does not exist in the registry any more: {way_out}"}
    return {champion: f"{model}/{champion} lost the alias 'champion': {way_out}"}


def _joined(first: Mapping[str, str], second: Mapping[str, str]) -> dict[str, str]:
    """Return the faults of both, those of the same version in one text."""
    return {
        version: "; ".join(each[version] for each in (first, second) if version in each)
        for version in first.keys() | second.keys()
    }


def _as_loaded(entry: RegisteredVersion, before: Desired, live: Live) -> RegisteredVersion:
    """Return the description of a version; of one that is live, with the archive that answers."""
    if entry.version not in live.versions or (known := before.known.get(entry.version)) is None:
        return entry
    return replace(entry, archive_path=known.archive_path, archive_sha256=known.archive_sha256)


def _changed(before: Desired, found: Mapping[str, RegisteredVersion], live: Live) -> tuple[str, ...]:
    """Report live versions for which the registry names another archive than the one that answers."""
    return tuple(
        f"the registry names another archive for {entry.name} than the one that answers, which stays: register the new "
        "one as a version of its own"
        for version, entry in sorted(found.items())
        if version in live.versions
        and (known := before.known.get(version)) is not None
        and known.archive_sha256 != entry.archive_sha256
    )
