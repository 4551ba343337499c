"""Drift of a version's traffic from its reference: requests and samples that are not as they were at the training.

Each answered request gives one observation of each feature. E-detectors (`serving.traffic.detectors`) compare them with
the reference in the archive, or with the first answers of the version where the archive has none. The threshold bounds
the false alarms whatever the distributions are: a feature that is within its tolerance alarms once in `THRESHOLD`
requests at most, on average, and 1,000 days of 2,000 requests are a fiftieth of that.
"""

from __future__ import annotations

import math
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

from handlers.contract import CommentaryRequest, RankBy, SamplingParams
from handlers.reference import Distribution, Reference
from serving.traffic.detectors import Detectors

THRESHOLD: Final = 1e8
"""Level at which a feature has drifted: the average run length in requests, at least, while it has not."""
LEARNED_ANSWERS: Final = 1000
"""First answers of a version that are its reference where its archive has none."""
EXAMPLES: Final = 5
"""Exposures that an alarm names."""
_RECENT: Final = 100
"""Requests from which the figure and the examples of an alarm come."""
_TOLERANCE: Final = 0.25
"""Change of a mean that is taken for none, in standard deviations of one sample."""
_GENRES_TOLERANCE: Final = 0.4
"""The same for the sum of a request's genres, in standard deviations of one genre."""
_UNKNOWN_TOLERANCE: Final = 0.03
"""Rise of the share of unknown genres that is taken for none; half of the share where that is more."""
_TOPIC_TOLERANCE: Final = 0.1
"""Change of a topic's mean share that is taken for none."""
_CERTAINTY: Final = 4.0
"""Standard errors of the reference's own mean by which a tolerance is wider: a reference of 250 samples is uncertain by
a sixteenth of a standard deviation, and traffic that differs by this from it has not drifted."""
_RANGE: Final = 4.0
"""Distance from the mean, in standard deviations, beyond which a figure counts as that far."""
_GENRES_RANGE: Final = 8.0
_SMALLEST_SD: Final = {"length": 1.0, "log_prob": 0.1, "genres": 0.5}
"""Standard deviations that no reference goes below, in tokens and nats: one of equal samples would make any other one
a drift."""
_SEEN_OFTEN: Final = 5
"""Answers with a label from which on its share is learned: of a rarer one it would be too uncertain."""
_DEFAULTS: Final = SamplingParams()


class Answer(Protocol):
    """Parts of an answer that are watched; the contract's response has them."""

    @property
    def samples(self) -> Sequence[Any]:
        """Samples, each with `token_count`, `log_prob` and `topics`."""

    @property
    def genres_used(self) -> Sequence[str]:
        """Labels to which the genres were mapped."""

    @property
    def genres_unknown(self) -> Sequence[str]:
        """Genres without a label."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Drift:
    """A feature whose traffic has drifted."""

    feature: str
    """Name of the feature: unknown, genres, length, log_prob or topics."""
    sentence: str
    """Figure of the latest requests beside that of the reference."""
    exposures: tuple[str, ...]
    """Keys of the exposures among the latest requests that show it most clearly."""


class _Feature:
    """Detector of one feature, with the latest requests."""

    def __init__(self, name: str, nulls: Sequence[tuple[float, float]]) -> None:
        self.name = name
        self._detectors = Detectors(nulls)
        self._recent: deque[tuple[Sequence[float], str]] = deque(maxlen=_RECENT)

    def add(self, xs: Sequence[float], key: str) -> bool:
        """Add a request and return whether the feature has drifted."""
        self._recent.append((xs, key))
        return self._detectors.add(xs) >= THRESHOLD

    def take(self) -> tuple[int, float, tuple[str, ...]]:
        """Start over; return the mean that changed most, its latest value, and the exposures that show it."""
        index, is_up = self._detectors.highest
        shown = sorted(self._recent, key=lambda each: each[0][index], reverse=is_up)[:EXAMPLES]
        latest = math.fsum(xs[index] for xs, _ in self._recent) / len(self._recent)
        self._detectors.restart()
        self._recent.clear()
        return index, latest, tuple(key for _, key in shown)


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionDefaults:
    """Settings of a version for requests that do not say."""

    best_of: int = 1
    """Candidates that it decodes for a sample."""
    rank_by: RankBy = RankBy.ACCEPTABILITY
    """Rule by which it ranks them."""


class Monitor:
    """Watch over the traffic of one version.

    Args:
        reference: usual figures.
        topics: names of the topics, in the order of a sample's shares.
        defaults: defaults of the version.
    """

    def __init__(
        self, reference: Reference, *, topics: Sequence[str] = (), defaults: VersionDefaults = VersionDefaults()
    ) -> None:
        self._reference = reference
        self._topics = topics
        self._defaults = defaults
        self._surprises = _surprises(reference.genres)
        self._length = _at_least(reference.num_tokens, _SMALLEST_SD["length"])
        self._log_prob = _at_least(reference.token_log_prob, _SMALLEST_SD["log_prob"])
        self._unknown = _Feature("unknown", [(0.0, _highest_unknown(reference.unknown))])
        self._genres = _Feature("genres", [_around(0.5, _GENRES_TOLERANCE / (2 * _GENRES_RANGE))])
        error = _CERTAINTY / math.sqrt(max(1, reference.num_samples))
        scaled = _around(0.5, (_TOLERANCE + error) / (2 * _RANGE))
        self._lengths, self._log_probs = _Feature("length", [scaled]), _Feature("log_prob", [scaled])
        # Of a share, no more than its mean is known; this is the largest standard deviation that it can have.
        topic_nulls = [
            _around(share, _TOPIC_TOLERANCE + error * math.sqrt(share * (1 - share))) for share in reference.topics
        ]
        self._shares = _Feature("topics", topic_nulls) if topic_nulls else None

    def note(self, request: CommentaryRequest, answer: Answer, key: str) -> tuple[Drift, ...]:
        """Note an answered request and return the features that have drifted with it.

        Samples count of requests with the default settings alone: others are meant to be otherwise.

        Args:
            request: the request.
            answer: its answer.
            key: key of its exposure.
        """
        drifted = []
        if request.genres:
            share = min(1.0, len(answer.genres_unknown) / len(request.genres))
            if self._unknown.add((share,), key):
                drifted.append(self._drift(self._unknown))
        if self._surprises and self._genres.add((self._surprise_of(answer.genres_used),), key):
            drifted.append(self._drift(self._genres))
        if answer.samples and is_plain(request, self._defaults):
            drifted.extend(self._note_samples(answer.samples, key))
        return tuple(drifted)

    def _note_samples(self, samples: Sequence[Any], key: str) -> list[Drift]:
        count = len(samples)
        tokens = sum(sample.token_count for sample in samples) / count
        log_prob = sum(sample.log_prob / max(1, sample.token_count) for sample in samples) / count
        drifted = []
        if self._lengths.add((_scaled(tokens, self._length),), key):
            drifted.append(self._drift(self._lengths))
        if self._log_probs.add((_scaled(log_prob, self._log_prob),), key):
            drifted.append(self._drift(self._log_probs))
        if self._shares is not None and len(samples[0].topics) == len(self._reference.topics):
            columns = zip(*(sample.topics for sample in samples), strict=False)
            means = [min(1.0, max(0.0, sum(column) / count)) for column in columns]
            if len(means) == len(self._reference.topics) and self._shares.add(means, key):
                drifted.append(self._drift(self._shares))
        return drifted

    def _surprise_of(self, labels: Sequence[str]) -> float:
        """Return the sum of the labels' surprises, from 0 to 1; 0.5 is as usual.

        Of the sum, and not of a request's mean, the expectation follows from the shares of the labels alone. Labels
        that the reference leaves out count for nothing.
        """
        known = self._surprises
        surplus = sum(known.get(label, 0.0) for label in labels)
        return 0.5 + max(-_GENRES_RANGE, min(_GENRES_RANGE, surplus)) / (2 * _GENRES_RANGE)

    def _drift(self, feature: _Feature) -> Drift:
        index, latest, exposures = feature.take()
        reference = self._reference
        if feature.name == "unknown":
            told = f"{latest:.0%} of a request's genres have no label, {reference.unknown:.1%} in the reference"
        elif feature.name == "genres":
            rarer = "rarer" if latest > 0.5 else "more frequent"
            told = f"requests have {rarer} genres than the reference"
        elif feature.name == "length":
            told = (
                f"samples have {_unscaled(latest, self._length):.1f} tokens, {self._length.mean:.1f} in the reference"
            )
        elif feature.name == "log_prob":
            told = (
                f"tokens have a log-probability of {_unscaled(latest, self._log_prob):.2f} nats, "
                f"{self._log_prob.mean:.2f} in the reference"
            )
        else:
            topic = self._topics[index] if index < len(self._topics) else str(index)
            told = f"the topic {topic!r} has a share of {latest:.0%}, {reference.topics[index]:.0%} in the reference"
        return Drift(
            feature=feature.name, sentence=f"{told} (the last {_RECENT} requests, at most)", exposures=exposures
        )


class Learner:
    """Gatherer of a reference from the first answers of a version.

    Args:
        defaults: defaults of the version.
    """

    def __init__(self, *, defaults: VersionDefaults = VersionDefaults()) -> None:
        self._defaults = defaults
        self._answers = 0
        self._labels: Counter[str] = Counter()
        self._asked = 0
        self._unknown = 0
        self._lengths = _Moments()
        self._log_probs = _Moments()
        self._topics: list[float] = []

    def note(self, request: CommentaryRequest, answer: Answer) -> Reference | None:
        """Note an answered request; return the reference when there have been enough.

        Args:
            request: the request.
            answer: its answer.
        """
        self._answers += 1
        self._labels.update(answer.genres_used)
        self._asked += len(request.genres)
        self._unknown += min(len(answer.genres_unknown), len(request.genres))
        if is_plain(request, self._defaults):
            for sample in answer.samples:
                self._lengths.add(sample.token_count)
                self._log_probs.add(sample.log_prob / max(1, sample.token_count))
                before = self._topics or [0.0] * len(sample.topics)
                self._topics = [total + share for total, share in zip(before, sample.topics, strict=False)]
        return self._reference() if self._answers >= LEARNED_ANSWERS else None

    def _reference(self) -> Reference:
        samples = max(1, self._lengths.count)
        return Reference(
            genres={
                label: min(1.0, number / self._answers)
                for label, number in self._labels.items()
                if number >= _SEEN_OFTEN
            },
            unknown=self._unknown / max(1, self._asked),
            num_tokens=self._lengths.spread(),
            token_log_prob=self._log_probs.spread(),
            topics=tuple(min(1.0, max(0.0, total / samples)) for total in self._topics),
            num_samples=self._lengths.count,
        )


class _Moments:
    """Running mean and variance (Welford 1962)."""

    def __init__(self) -> None:
        self.count = 0
        self._mean = 0.0
        self._squares = 0.0

    def add(self, value: float) -> None:
        if not math.isfinite(value):
            return
        self.count += 1
        step = value - self._mean
        self._mean += step / self.count
        self._squares += step * (value - self._mean)

    def spread(self) -> Distribution:
        return Distribution(mean=self._mean, sd=math.sqrt(self._squares / max(1, self.count)))


def is_plain(request: CommentaryRequest, defaults: VersionDefaults) -> bool:
    """Return whether a request has the settings with which a reference is made."""
    is_chosen = request.best_of in (None, defaults.best_of) and request.rank_by in (None, defaults.rank_by)
    return request.topic is None and is_chosen and request.sampling == _DEFAULTS


def _surprises(shares: Mapping[str, float]) -> dict[str, float]:
    """Return how much rarer than usual each label is: -log(share), from the mean, in standard deviations.

    Over the labels of requests like the reference's, these have the mean 0.
    """
    total = math.fsum(shares.values())
    known = {label: -math.log(share / total) for label, share in shares.items() if share > 0}
    mean = math.fsum(shares[label] / total * surprise for label, surprise in known.items())
    variance = math.fsum(shares[label] / total * (surprise - mean) ** 2 for label, surprise in known.items())
    sd = max(math.sqrt(variance), _SMALLEST_SD["genres"])
    return {label: (surprise - mean) / sd for label, surprise in known.items()}


def _at_least(spread: Distribution, sd: float) -> Distribution:
    return Distribution(mean=spread.mean, sd=max(spread.sd, sd))


def _highest_unknown(share: float) -> float:
    return min(share + max(_UNKNOWN_TOLERANCE, share / 2), 1.0)


def _around(middle: float, tolerance: float) -> tuple[float, float]:
    return max(0.0, middle - tolerance), min(1.0, middle + tolerance)


def _scaled(value: float, spread: Distribution) -> float:
    """Return a figure from 0 to 1; 0.5 is the mean, and either end is four standard deviations away."""
    return 0.5 + max(-_RANGE, min(_RANGE, (value - spread.mean) / spread.sd)) / (2 * _RANGE)


def _unscaled(scaled: float, spread: Distribution) -> float:
    return spread.mean + (scaled - 0.5) * 2 * _RANGE * spread.sd
