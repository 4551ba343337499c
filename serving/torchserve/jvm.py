"""Verdicts on the JVM, from a series of looks at it; see `serving.workers.verdicts`. Pure like those."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from serving.workers.host import HostVerdict
from serving.workers.replacements import HostFault
from serving.workers.verdicts import LATEST_LOOK_S, SILENT_S

JVM_STOPPED_LOOKS: Final = 6
"""Looks in a row that find the JVM stopped, before it is replaced with all of its workers."""
JVM_HUNG_S: Final = 12.0
"""Time without an answer and without processor time after which the JVM is replaced."""
JVM_LOST_S: Final = 60.0
"""Time without an answer after which the JVM is replaced although it takes processor time, as without memory."""
FOLDER_PATIENCE_S: Final = 30.0
"""Time that a JVM without its folder is given to answer the calls that are running in it."""
_JVM_IDLE_SHARE: Final = 0.02
"""Share of one core below which a JVM that nobody gets an answer from does nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JvmLook:
    """One look at the JVM."""

    now_s: float
    reachable: bool
    """Whether it answered the last ping."""
    answered: int
    """Calls that its workers answered so far, of all versions."""
    stopped: bool
    cpu_s: float
    has_folder: bool
    """Whether its folder is there."""
    busy: bool
    """Whether calls are running in it that a replacement would end."""


@dataclass(slots=True, kw_only=True)
class JvmJudge:
    """Judge of one JVM; it is shown one look after the other."""

    _last_s: float | None = None
    _silent_since_s: float = 0.0
    _cpu_s: float = 0.0
    _answered: int = 0
    _stopped_looks: int = 0
    _homeless_since_s: float | None = None

    def judge(self, look: JvmLook) -> HostVerdict:
        """Return the verdict after one more look."""
        held_up = self._last_s is None or look.now_s - self._last_s > LATEST_LOOK_S
        self._last_s = look.now_s
        self._stopped_looks = self._stopped_looks + 1 if look.stopped and not held_up else 0
        if held_up or look.answered != self._answered or look.reachable:
            self._silent_since_s, self._cpu_s, self._answered = look.now_s, look.cpu_s, look.answered
        if look.has_folder:
            self._homeless_since_s = None
        elif self._homeless_since_s is None or held_up:
            self._homeless_since_s = look.now_s
        return HostVerdict(answers=self._silent_s(look) < SILENT_S and not look.stopped, replace=self._fault(look))

    def _silent_s(self, look: JvmLook) -> float:
        return look.now_s - self._silent_since_s

    def _fault(self, look: JvmLook) -> HostFault | None:
        silent_s = self._silent_s(look)
        idle = look.cpu_s - self._cpu_s <= _JVM_IDLE_SHARE * silent_s
        hung = silent_s >= JVM_LOST_S or (silent_s >= JVM_HUNG_S and idle)
        if hung or self._stopped_looks >= JVM_STOPPED_LOOKS:
            return HostFault.HUNG
        if self._homeless_since_s is None:
            return None
        homeless_s = look.now_s - self._homeless_since_s
        return HostFault.FOLDER if (homeless_s > 0 and not look.busy) or homeless_s > FOLDER_PATIENCE_S else None
