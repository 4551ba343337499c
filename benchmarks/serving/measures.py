"""Figures from calls: percentiles, throughput, batches, the knee."""

from __future__ import annotations

import math
import statistics
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from benchmarks.serving.calls import OK, Call, Phase

_NAN: Final = math.nan


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Requests that were decoded together, by the decode time that their answers share."""

    ended: float
    requests: int
    samples: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Level:
    """Figures of one phase of load. Times in milliseconds, NaN if no request was answered."""

    samples_per_s: float
    requests_per_s: float
    p50_ms: float
    p90_ms: float
    p99_ms: float
    max_ms: float
    decode_ms: float
    """Median time of the decode that a request was part of."""
    queue_ms: float
    """Median of the remaining time: transport, JSON, waiting for a batch and for a worker."""
    batch_requests: float
    """Mean number of requests that were decoded together."""
    batch_rows: float
    """Mean number of samples that were decoded together, which are the sequences of the decode."""
    answered: int
    errors: Mapping[str, int]
    """Number of calls without samples in the answer, by code."""


def level(calls: Sequence[Call], phase: Phase) -> Level:
    """Compute the figures of a phase."""
    ends = phase.settle_s + phase.seconds
    counted = [call for call in calls if phase.settle_s <= call.ended <= ends]
    good = [call for call in counted if call.code == OK]
    # A failed call that ends after the window is an error as well: overload must not stay invisible.
    errors = Counter(call.code for call in calls if call.code != OK and call.ended >= phase.settle_s)
    latencies = sorted(call.latency_ms for call in good)
    found = batches([call for call in calls if call.code == OK], phase.settle_s, ends)
    samples_per_s = throughput(found, phase.seconds)
    samples_each = sum(call.samples for call in good) / len(good) if good else 1
    return Level(
        samples_per_s=samples_per_s,
        requests_per_s=samples_per_s / samples_each,
        p50_ms=percentile(latencies, 50),
        p90_ms=percentile(latencies, 90),
        p99_ms=percentile(latencies, 99),
        max_ms=percentile(latencies, 100),
        decode_ms=_median([call.decode_ms for call in good]),
        queue_ms=_median([max(0.0, call.latency_ms - call.decode_ms) for call in good]),
        batch_requests=_mean([batch.requests for batch in found]),
        batch_rows=_mean([batch.samples for batch in found]),
        answered=len(good),
        errors=dict(errors),
    )


def batches(calls: Sequence[Call], begins: float, ends: float) -> list[Batch]:
    """Return the batches that ended between two times, in that order: calls of one batch share its decode time."""
    together: dict[float, list[Call]] = defaultdict(list)
    for call in calls:
        together[call.decode_ms].append(call)
    found = (
        Batch(
            ended=max(call.ended for call in part),
            requests=len(part),
            samples=sum(call.samples for call in part),
        )
        for part in together.values()
    )
    return sorted((batch for batch in found if begins <= batch.ended <= ends), key=lambda batch: batch.ended)


def throughput(found: Sequence[Batch], seconds: float) -> float:
    """Return samples a second, from the end of the first batch to the end of the last.

    Answers arrive a batch at a time, so a count over the whole window would depend on one batch more or less.
    """
    if len(found) < 3:
        return sum(batch.samples for batch in found) / seconds
    return sum(batch.samples for batch in found[1:]) / (found[-1].ended - found[0].ended)


def percentile(ascending: Sequence[float], percent: float) -> float:
    """Return a percentile by nearest rank, which is a measured value; NaN without values.

    >>> percentile([1.0, 2.0, 3.0, 4.0], 50), percentile([1.0, 2.0], 99)
    (2.0, 2.0)
    """
    if not ascending:
        return _NAN
    return ascending[max(0, math.ceil(len(ascending) * percent / 100) - 1)]


def median_level(levels: Sequence[Level]) -> Level:
    """Return the median of each figure over rounds, and the sum of the errors."""
    errors: Counter[str] = Counter()
    for each in levels:
        errors.update(each.errors)
    return Level(
        samples_per_s=_median([each.samples_per_s for each in levels]),
        requests_per_s=_median([each.requests_per_s for each in levels]),
        p50_ms=_median([each.p50_ms for each in levels]),
        p90_ms=_median([each.p90_ms for each in levels]),
        p99_ms=_median([each.p99_ms for each in levels]),
        max_ms=max((each.max_ms for each in levels), default=_NAN),
        decode_ms=_median([each.decode_ms for each in levels]),
        queue_ms=_median([each.queue_ms for each in levels]),
        batch_requests=_median([each.batch_requests for each in levels]),
        batch_rows=_median([each.batch_rows for each in levels]),
        answered=sum(each.answered for each in levels),
        errors=dict(errors),
    )


def find_knee(loads: Sequence[float], latencies: Sequence[float]) -> int:
    """Return the index of the knee in ascending loads, from where latency grows faster than load.

    Loads and logarithms of latencies are stretched to [0, 1]; the knee is the point farthest below the straight line
    from the first point to the last (Satopää et al. 2011, "Finding a 'Kneedle' in a Haystack"). Logarithms, because
    beyond saturation latency is a matter of how long the measurement lasts. The curve should reach there.

    Raises:
        ValueError: fewer than three points.
    """
    if len(loads) < 3 or len(loads) != len(latencies):
        raise ValueError(f"a knee needs three points or more, got {len(loads)} loads and {len(latencies)} latencies")
    heights = [math.log(latency) for latency in latencies]
    lowest, height, width = min(heights), (max(heights) - min(heights)) or 1.0, (loads[-1] - loads[0]) or 1.0
    below = [(load - loads[0]) / width - (each - lowest) / height for load, each in zip(loads, heights, strict=True)]
    return below.index(max(below))


def _median(values: Sequence[float]) -> float:
    return statistics.median(values) if values else _NAN


def _mean(values: Sequence[float]) -> float:
    return statistics.fmean(values) if values else _NAN
