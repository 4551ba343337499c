"""Figures of live versions since the start of the gateway: durations, errors, exposures and outcomes of shadows.

They are plain numbers, which cost a request about a microsecond; Prometheus and `models status` read them when asked.
"""

from __future__ import annotations

import dataclasses
import time
from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final

from serving.traffic.exposures import ShadowOutcome
from serving.wire import LiveModel, LiveVersion

BOUNDS_S: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""Upper bounds of the buckets of a histogram of durations; a last one has none."""
RECENT_S: Final = 300.0
"""Age up to which an answer counts for a percentile."""
_RECENT_ANSWERS: Final = 1024
"""Answers that are kept for percentiles."""
MAX_VERSIONS: Final = 16
"""Versions of a model whose figures are kept. More are live at no time, and a version that is removed is still seen."""


@dataclass(slots=True)
class Durations:
    """Histogram of durations in seconds."""

    counts: list[int] = field(default_factory=lambda: [0] * (len(BOUNDS_S) + 1))
    total_s: float = 0.0

    def add(self, seconds: float) -> None:
        """Count one duration."""
        self.counts[bisect_left(BOUNDS_S, seconds)] += 1
        self.total_s += seconds

    def buckets(self) -> list[tuple[str, float]]:
        """Return the cumulative counts by their upper bound as Prometheus writes it."""
        bounds = [*map(str, BOUNDS_S), "+Inf"]
        number, cumulative = 0, []
        for bound, count in zip(bounds, list(self.counts), strict=True):
            number += count
            cumulative.append((bound, float(number)))
        return cumulative


class VersionFigures:
    """Figures of one version.

    Args:
        clock: seconds of a clock that never goes back.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._recent: deque[tuple[float, float]] = deque(maxlen=_RECENT_ANSWERS)
        self.answers = 0
        """Answers that were given to clients, each with an exposure."""
        self.errors = 0
        """Requests that failed although they were valid and a version was found for them."""
        self.queue = Durations()
        """Time until a request was sent to the worker host."""
        self.backend = Durations()
        """Time from then to the worker host's answer."""
        self.shadows = dict.fromkeys(ShadowOutcome, 0)
        """Copies of requests by outcome, of a version that is or was a shadow."""
        self.last_s = clock()
        """Time of the latest event."""

    def add_answer(self, *, queue_s: float, backend_s: float) -> None:
        """Count an answer."""
        self.last_s = self._clock()
        self.answers += 1
        self.queue.add(queue_s)
        self.backend.add(backend_s)
        self._recent.append((self.last_s, queue_s + backend_s))

    def add_error(self) -> None:
        """Count a request that failed."""
        self.last_s = self._clock()
        self.errors += 1

    def add_shadow(self, outcome: ShadowOutcome) -> None:
        """Count a copy of a request."""
        self.last_s = self._clock()
        self.shadows[outcome] += 1

    def latency_ms(self, share: float) -> float:
        """Return the time within which a share of the latest answers was given, in milliseconds.

        Args:
            share: 0.95 for the 95th percentile.

        Returns:
            0 if there was no answer within the last five minutes.
        """
        oldest_s = self._clock() - RECENT_S
        seconds = sorted(latency for moment, latency in list(self._recent) if moment >= oldest_s)
        return 1000 * seconds[min(len(seconds) - 1, int(share * len(seconds)))] if seconds else 0.0


class FigureBook:
    """Figures of all versions, by model and version.

    Args:
        clock: seconds of a clock that never goes back.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._figures: dict[tuple[str, str], VersionFigures] = {}

    def of(self, model: str, version: str) -> VersionFigures:
        """Return the figures of a live version; of a model with too many, the one that was quiet longest is dropped."""
        figures = self._figures.get((model, version))
        if figures is None:
            others = [key for key in self._figures if key[0] == model]
            if len(others) >= MAX_VERSIONS:
                del self._figures[min(others, key=lambda key: self._figures[key].last_s)]
            figures = self._figures[model, version] = VersionFigures(self._clock)
        return figures

    def find(self, model: str, version: str) -> VersionFigures | None:
        """Return the figures of a version, or None if it has none."""
        return self._figures.get((model, version))

    def __iter__(self) -> Iterator[tuple[str, str, VersionFigures]]:
        """Yield model, version and figures; safe while another thread adds versions."""
        for (model, version), figures in list(self._figures.items()):
            yield model, version, figures


def with_figures(models: tuple[LiveModel, ...], book: FigureBook) -> tuple[LiveModel, ...]:
    """Return descriptions of live models with the figures of their versions."""

    def with_own(model: str, version: LiveVersion) -> LiveVersion:
        figures = book.find(model, version.version)
        if figures is None:
            return version
        was_shadow = any(figures.shadows.values())
        return dataclasses.replace(
            version,
            answers=figures.answers,
            errors=figures.errors,
            latency_p50_ms=figures.latency_ms(0.5),
            latency_p95_ms=figures.latency_ms(0.95),
            shadow_outcomes={outcome.value: n for outcome, n in figures.shadows.items()} if was_shadow else {},
        )

    return tuple(
        dataclasses.replace(model, versions=tuple(with_own(model.name, version) for version in model.versions))
        for model in models
    )
