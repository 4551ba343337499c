"""Time limit of a whole training, shared out to its stages as they begin."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from training.errors import SettingError
from training.pipeline.estimate import LIMITED, span

_LEAST: Final = 0.3
"""Least share of the time limit for the stages that have a limit of their own; with less they learn too little."""
_CVAE: Final = 0.75
"""Share of the CVAE in the time that the stages with a limit of their own get."""
_LAST: Final = ("candidates", "comparison", "archives")
"""Work without a limit that follows the CVAE."""
MIN_LABELS: Final = 500
"""Least number of labelled latent vectors that the LC-GAN learns from under a time limit."""


@dataclass(slots=True, kw_only=True)
class Budget:
    """Time of a training. Stages with a limit of their own get what the others leave, by the estimate of those.

    Raises:
        SettingError: the time cannot hold the work that has no limit.
    """

    seconds: float | None
    """Time limit; None without one."""
    estimate: Mapping[str, float]
    """Estimated seconds of the work to do, by name (`training.pipeline.estimate`)."""
    clock: Callable[[], float] = time.monotonic
    _started: float = field(init=False)

    def __post_init__(self) -> None:
        self._started = self.clock()
        needed = sum(seconds for name, seconds in self.estimate.items() if name not in LIMITED)
        # A training whose CVAE and LC-GAN are done is not limited by anything that could be made shorter.
        if self.seconds is None or not self.estimate.keys() & LIMITED or self.seconds * (1 - _LEAST) >= needed:
            return
        most = max((name for name in self.estimate if name not in LIMITED), key=lambda name: self.estimate[name])
        raise SettingError(
            f"--budget of {span(self.seconds)} cannot hold this training: besides the CVAE and the LC-GAN it needs "
            f"about {span(needed)} on this machine, most of it for {most} ({span(self.estimate[most])}); give at "
            f"least {span(needed / (1 - _LEAST))}, as in --budget {-(-needed / (1 - _LEAST) // 60):.0f}m"
        )

    def for_cvae(self) -> float | None:
        """Seconds of the CVAE's steps; None without a limit."""
        left = self._left()
        return None if left is None else left * _CVAE

    def for_labels(self) -> float | None:
        """Seconds of the labelled samples; None without a limit."""
        left = self._left()
        if left is None:
            return None
        wanted = {name: self.estimate.get(name, 0.0) for name in ("labels", "lcgan")}
        return left * wanted["labels"] / (sum(wanted.values()) or 1.0)

    def for_lcgan(self) -> float | None:
        """Seconds of the LC-GAN's steps and rounds; None without a limit."""
        return self._left()

    def _left(self) -> float | None:
        """Seconds that are left after the work that comes last and has no limit; a tenth of the limit at least."""
        if self.seconds is None:
            return None
        reserved = sum(self.estimate.get(name, 0.0) for name in _LAST)
        return max(self.seconds - (self.clock() - self._started) - reserved, self.seconds / 10)


def labels_within(wanted: int, seconds: float | None, per_second: float) -> int:
    """Return the number of labelled samples that fit into a time, at least `MIN_LABELS`.

    >>> labels_within(50_000, 20.0, 300.0), labels_within(600, 1.0, 10.0), labels_within(300, None, 10.0)
    (6000, 500, 300)
    """
    return wanted if seconds is None else min(wanted, max(MIN_LABELS, int(seconds * per_second)))
