"""Versions of a model that could not be made live, and when each of them is tried again."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from serving.registry.versions import RegisteredVersion


@dataclass(slots=True, kw_only=True)
class _Refusal:
    pause_s: float
    until: float
    is_tagged: bool = False
    """Whether a reading of the registry has shown the reason. If it is gone later, a person removed it."""


class Refusals:
    """Refused versions of one model.

    Args:
        first_s: pause after the first refusal; it doubles with each further one.
        longest_s: longest pause.
        clock: seconds that never go back.
    """

    def __init__(self, first_s: float, longest_s: float, *, clock: Callable[[], float]) -> None:
        self._first_s = first_s
        self._longest_s = longest_s
        self._clock = clock
        self._refusals: dict[str, _Refusal] = {}
        self._postponed: dict[str, float] = {}

    def add(self, version: str) -> None:
        """Refuse a version."""
        before = self._refusals.get(version)
        pause_s = min(2 * before.pause_s, self._longest_s) if before else self._first_s
        self._refusals[version] = _Refusal(pause_s=pause_s, until=self._clock() + pause_s)

    def postpone(self, version: str, pause_s: float) -> None:
        """Try a version again after a pause, without blame."""
        self._postponed[version] = self._clock() + pause_s

    def forget_postponed(self) -> None:
        """Try the versions that were postponed at once."""
        self._postponed.clear()

    def forget(self, version: str) -> None:
        """Forget the refusals of a version that is live."""
        self._refusals.pop(version, None)
        self._postponed.pop(version, None)

    def see(self, versions: Iterable[RegisteredVersion]) -> None:
        """Compare with a reading of the registry: a version whose reason was removed there is tried at once."""
        for each in versions:
            refusal = self._refusals.get(each.version)
            if refusal is None:
                continue
            if each.sync_error:
                refusal.is_tagged = True
            elif refusal.is_tagged:
                refusal.is_tagged, refusal.until = False, self._clock()

    def still(self) -> frozenset[str]:
        """Return the versions that are not to be tried yet."""
        now = self._clock()
        refused = {version for version, refusal in self._refusals.items() if now < refusal.until}
        return frozenset(refused | {version for version, until in self._postponed.items() if now < until})
