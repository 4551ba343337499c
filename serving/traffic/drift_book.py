"""Watch over the traffic of all versions: it tells drift in the log, counts it, and keeps it for the versions' tags."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

from foundation.model_versions import VersionName
from handlers.contract import CommentaryRequest, CommentaryResponse
from serving.registry.contents import ArchiveInfo
from serving.traffic.drift import Drift, Learner, Monitor, VersionDefaults
from serving.traffic.figures import MAX_VERSIONS
from serving.traffic.learned import LearnedReferences

_log = logging.getLogger(__name__)

QUIET_S: Final = 86_400.0
"""Time after an alarm in which the same feature of the same version gives no other one."""
REMEMBERED_SONGS: Final = 1000
"""Latest songs of a version whose requests are known again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Alarm:
    """Alarm that is not in the registry yet."""

    model: str
    version: str
    feature: str
    text: str
    """Feature, time, figures and exposures, as the tag has them."""


class _Songs:
    """Latest songs that were asked for."""

    def __init__(self) -> None:
        self._keys: dict[int, None] = {}

    def add(self, request: CommentaryRequest) -> bool:
        """Add the song of a request; return whether it is a new one. Requests without artist and title always are."""
        if not (request.artist or request.title):
            return True
        key = hash((request.artist, request.title, request.genres))
        if key in self._keys:
            return False
        self._keys[key] = None
        if len(self._keys) > REMEMBERED_SONGS:
            del self._keys[next(iter(self._keys))]
        return True


@dataclass(slots=True, kw_only=True)
class _Version:
    """One version that answers."""

    sha256: str
    learner: Learner | None
    monitor: Monitor | None
    last_s: float
    alarms: dict[str, int] = field(default_factory=dict)
    """Alarms by their feature."""
    alarmed_s: dict[str, float] = field(default_factory=dict)
    """Time of the last alarm of each feature."""
    songs: _Songs = field(default_factory=_Songs)


class DriftBook:
    """Watch over the traffic of all versions. Only answers to clients are noted.

    A song that is asked for again with the same genres says nothing new about the traffic, and is passed over: a load
    test repeats a few requests a thousand times.

    Args:
        clock: seconds of a clock that never goes back.
        now: clock, in UTC.
        learned: place for the references that versions without one learn.
    """

    def __init__(
        self,
        clock: Callable[[], float] = time.monotonic,
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        learned: LearnedReferences | None = None,
    ) -> None:
        self._clock = clock
        self._now = now
        self._learned = learned or LearnedReferences()
        self._versions: dict[tuple[str, str], _Version] = {}
        self._untold: dict[tuple[str, str, str], Alarm] = {}

    def note(self, info: ArchiveInfo, request: CommentaryRequest, response: CommentaryResponse, key: str) -> None:
        """Note an answer, and tell what has drifted with it.

        Args:
            info: version that answered.
            request: the request.
            response: its answer.
            key: key of its exposure.
        """
        version = self._of(info)
        version.last_s = self._clock()
        if not version.songs.add(request):
            return
        if version.monitor is not None:
            for drift in version.monitor.note(request, response, key):
                self._tell(info, version, drift)
        elif version.learner is not None and (reference := version.learner.note(request, response)) is not None:
            version.monitor = Monitor(reference, topics=info.topics, defaults=_defaults(info))
            version.learner = None
            self._learned.write(info.sha256, reference)

    def untold(self, model: str) -> tuple[Alarm, ...]:
        """Return the alarms of a model's versions that are not in the registry yet, one of each feature."""
        return tuple(alarm for alarm in self._untold.values() if alarm.model == model)

    def set_told(self, alarm: Alarm) -> None:
        """Note that an alarm is in the registry."""
        key = (alarm.model, alarm.version, alarm.feature)
        if self._untold.get(key) == alarm:
            del self._untold[key]

    def alarms(self) -> Iterator[tuple[str, str, str, int]]:
        """Yield model, version, feature and number of alarms; safe while another thread adds versions."""
        for (model, number), version in list(self._versions.items()):
            for feature, alarms in list(version.alarms.items()):
                yield model, number, feature, alarms

    def _of(self, info: ArchiveInfo) -> _Version:
        """Return the watch over a version; of a model with too many, the one that was quiet longest is dropped."""
        key = (info.model, info.version)
        version = self._versions.get(key)
        if version is None or version.sha256 != info.sha256:
            others = [each for each in self._versions if each[0] == info.model and each != key]
            if len(others) >= MAX_VERSIONS:
                del self._versions[min(others, key=lambda each: self._versions[each].last_s)]
            known = info.reference or self._learned.read(info.sha256)
            version = self._versions[key] = _Version(
                sha256=info.sha256,
                learner=Learner(defaults=_defaults(info)) if known is None else None,
                monitor=(Monitor(known, topics=info.topics, defaults=_defaults(info)) if known is not None else None),
                last_s=self._clock(),
            )
        return version

    def _tell(self, info: ArchiveInfo, version: _Version, drift: Drift) -> None:
        before_s = version.alarmed_s.get(drift.feature)
        if before_s is not None and self._clock() - before_s < QUIET_S:
            return
        version.alarmed_s[drift.feature] = self._clock()
        version.alarms[drift.feature] = version.alarms.get(drift.feature, 0) + 1
        name, examples = VersionName(model=info.model, version=info.version), ", ".join(drift.exposures)
        _log.warning("the traffic of %s drifts: %s: %s; exposures %s", name, drift.feature, drift.sentence, examples)
        text = f"{drift.feature} ({self._now():%Y-%m-%dT%H:%MZ}): {drift.sentence}; exposures {examples}"
        self._untold[info.model, info.version, drift.feature] = Alarm(
            model=info.model, version=info.version, feature=drift.feature, text=text
        )


def _defaults(info: ArchiveInfo) -> VersionDefaults:
    return VersionDefaults(best_of=info.default_best_of, rank_by=info.rank_by)
