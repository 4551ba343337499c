"""Versions of a model that could not be made live, and when each of them is tried again."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from serving.registry.versions import RegisteredVersion


@dataclass(slots=True, kw_only=True)
class _Refusal:
    pause_s: float
    until: float
    noted: bool
    """Whether the registry got the reason. If it was removed there since, the version is tried again."""


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

    def add(self, version: RegisteredVersion, *, noted: bool) -> None:
        """Refuse a version.

        Args:
            version: the version.
            noted: whether the registry got the reason.
        """
        before = self._refusals.get(version.version)
        pause_s = min(2 * before.pause_s, self._longest_s) if before else self._first_s
        self._refusals[version.version] = _Refusal(pause_s=pause_s, until=self._clock() + pause_s, noted=noted)

    def forget(self, version: RegisteredVersion) -> None:
        """Forget the refusals of a version that is live."""
        self._refusals.pop(version.version, None)

    def still(self, versions: Iterable[RegisteredVersion]) -> frozenset[str]:
        """Return those of the versions that are not to be tried again yet."""
        now = self._clock()
        return frozenset(
            each.version
            for each in versions
            if (refusal := self._refusals.get(each.version)) is not None
            and now < refusal.until
            and (each.sync_error or not refusal.noted)
        )
