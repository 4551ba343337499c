"""Counterfactual replay: the samples that a version would have written for requests of the past.

A sample depends on the weights, the request and the seed to the last bit, whatever the batch. So the samples of any
version for any past request can be computed later, without shadow traffic. For the version that served, they are those
that were served, by which a replay checks itself. Versions are then ranked by the mean value of what they would have
written, under a value function that was learned from verdicts: the direct method of off-policy evaluation (Dudík,
Langford and Li 2011, "Doubly robust policy evaluation and learning", section 2). It is as good as the value function,
and it flatters a version that was trained on the same verdicts.
"""

from __future__ import annotations

import math
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from statistics import fmean, stdev
from typing import Final

from experiments.errors import ExperimentError
from foundation.hashes import file_sha256
from handlers.commentary import Commentator, NotFiniteError
from handlers.contract import CommentaryRequest, ContractError, RankBy
from handlers.model.bundle import BundleError
from serving.traffic.exposures import Exposure, Role
from training.errors import ArchiveBuildError
from training.packaging.archive import load_archive
from training.verdicts.features import masked

_REQUESTS_AT_ONCE: Final = 64
_NORMAL_95: Final = 1.959963984540054
"""Quantile of the normal distribution for an interval of 95%."""

Values = Callable[[Sequence[str]], Sequence[float]]
"""Value function: the probability, from 0 to 1, that a curator accepts each text, with placeholders for names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayedSample:
    """One sample that a version would have written."""

    text: str
    seed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayedAnswer:
    """Answer that a version would have given to the request of an exposure."""

    exposure: Exposure
    samples: tuple[ReplayedSample, ...]

    @property
    def has_served_seeds(self) -> bool:
        """Whether the samples have the seeds of those that were served: of equal candidates, the same were chosen."""
        return tuple(sample.seed for sample in self.samples) == self.exposure.sample_seeds


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftOut:
    """Exposure whose request a version cannot answer now."""

    exposure: Exposure
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Replay:
    """Replay of a version on past exposures."""

    version: str
    archive_sha256: str
    answers: tuple[ReplayedAnswer, ...]
    left_out: tuple[LeftOut, ...]

    @property
    def served(self) -> tuple[ReplayedAnswer, ...]:
        """Answers to exposures of the version itself, by the hash of its archive."""
        return tuple(each for each in self.answers if each.exposure.archive_sha256 == self.archive_sha256)


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """Comparison of a replay with what its version served."""

    exposures: int
    """Number of exposures of the version itself."""
    texts: int
    """Number of their samples whose served text is known."""
    different: tuple[str, ...]
    """Ids of the exposures whose samples differ in a seed or a text."""

    @property
    def is_equal(self) -> bool:
        """Whether all samples are those that were served."""
        return not self.different


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionValue:
    """Mean value of a version over the units of the exposures, each of which counts once."""

    version: str
    value: float
    """Mean predicted share of accepted samples, from 0 to 1."""
    low: float
    """Lower end of the interval of 95%, for the choice of units alone: the value function is taken as it is."""
    high: float
    difference: float
    """Mean of the differences, unit by unit, from the first version."""
    difference_low: float
    difference_high: float
    units: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayModel:
    """Version that can answer again."""

    version: str
    archive_sha256: str
    commentator: Commentator


def load_model(archive: Path, *, version: str, sha256: str = "") -> ReplayModel:
    """Load the weights of an archive; its code is not run, this installation's is.

    Args:
        archive: archive of the version, as `serving.registry.archives.bring_archive` brings it.
        version: number of the version in the registry.
        sha256: hash that the archive must have; by default it is not checked.

    Raises:
        ExperimentError: the archive cannot be read, or is another one.
    """
    try:
        found = file_sha256(archive)
        if sha256 and found != sha256:
            raise ExperimentError(
                f"{archive} has SHA-256 {found[:12]}, and the exposures name {sha256[:12]}: it is not the archive that "
                "served; fetch it again with `deephypebot archive`"
            )
        with tempfile.TemporaryDirectory(prefix="deephypebot-replay-") as folder:
            bundle = load_archive(archive, Path(folder))
    except (OSError, ArchiveBuildError, BundleError) as cause:
        raise ExperimentError(f"{archive} cannot be replayed: {cause}") from cause
    return ReplayModel(version=version, archive_sha256=found, commentator=Commentator(bundle))


def replay(exposures: Iterable[Exposure], model: ReplayModel, progress: Callable[[int], None] | None = None) -> Replay:
    """Compute the answers of a version to the requests of past exposures.

    Args:
        exposures: exposures of whichever version; of them, answers that clients got are replayed.
        model: version that answers.
        progress: gets the number of exposures done.
    """
    answers: list[ReplayedAnswer] = []
    left_out: list[LeftOut] = []
    done = 0
    for chunk in _chunks(each for each in exposures if each.role is Role.ANSWER):
        for found in _answered(chunk, model.commentator):
            if isinstance(found, ReplayedAnswer):
                answers.append(found)
            else:
                left_out.append(found)
        done += len(chunk)
        if progress is not None:
            progress(done)
    return Replay(
        version=model.version,
        archive_sha256=model.archive_sha256,
        answers=tuple(answers),
        left_out=tuple(left_out),
    )


def check(replayed: Replay, texts: Mapping[tuple[str, int], str] | None = None) -> Check:
    """Compare a replay with what the version served itself.

    Args:
        replayed: replay of a version.
        texts: served texts, by the id of the exposure and the seed of the sample, as far as they are known.
    """
    known = texts or {}
    served = replayed.served
    different = []
    compared = 0
    for answer in served:
        same = answer.has_served_seeds
        for sample in answer.samples:
            text = known.get((answer.exposure.id, sample.seed))
            if text is not None:
                compared += 1
                same = same and text == sample.text
        if not same:
            different.append(answer.exposure.id)
    return Check(exposures=len(served), texts=compared, different=tuple(different))


def rank(replays: Sequence[Replay], values: Values) -> tuple[VersionValue, ...]:
    """Rank versions by the mean value of their samples, the best first.

    Exposures of the same unit are one observation. Units count that every version answered, so all versions are
    compared on the same requests.

    Args:
        replays: replays of the same exposures; differences are from the first of them.
        values: value function.

    Raises:
        ExperimentError: fewer than two units have answers of every version.
    """
    by_version = {each.version: _unit_values(each, values) for each in replays}
    units = sorted(set.intersection(*(set(each) for each in by_version.values()))) if by_version else []
    if len(units) < 2:
        raise ExperimentError(
            f"{len(units)} units have answers of every version ({', '.join(by_version) or 'none'}); replay at least 2"
        )
    first = [by_version[replays[0].version][unit] for unit in units]
    ranked = []
    for version, found in by_version.items():
        own = [found[unit] for unit in units]
        value, half = _mean(own)
        difference, difference_half = _mean([mine - theirs for mine, theirs in zip(own, first, strict=True)])
        ranked.append(
            VersionValue(
                version=version,
                value=value,
                low=value - half,
                high=value + half,
                difference=difference,
                difference_low=difference - difference_half,
                difference_high=difference + difference_half,
                units=len(units),
            )
        )
    return tuple(sorted(ranked, key=lambda each: -each.value))


def _chunks(exposures: Iterable[Exposure]) -> Iterator[tuple[Exposure, ...]]:
    remaining = iter(exposures)
    while chunk := tuple(islice(remaining, _REQUESTS_AT_ONCE)):
        yield chunk


def _answered(chunk: Sequence[Exposure], commentator: Commentator) -> Iterator[ReplayedAnswer | LeftOut]:
    """Answer the requests of some exposures as one batch, in their order."""
    requests: list[CommentaryRequest | str] = [_request(each, commentator) for each in chunk]
    asked = [each for each in requests if isinstance(each, CommentaryRequest)]
    try:
        responses = iter(commentator.answer(asked))
    except NotFiniteError as cause:
        for exposure in chunk:
            yield LeftOut(exposure=exposure, reason=str(cause))
        return
    for exposure, request in zip(chunk, requests, strict=True):
        if isinstance(request, str):
            yield LeftOut(exposure=exposure, reason=request)
        else:
            samples = tuple(ReplayedSample(text=each.text, seed=each.seed) for each in next(responses).samples)
            yield ReplayedAnswer(exposure=exposure, samples=samples)


def _request(exposure: Exposure, commentator: Commentator) -> CommentaryRequest | str:
    """Return the request of an exposure, or the reason why the version cannot answer it again."""
    if exposure.seed is None:
        return "it has no seed: the worker drew one"
    try:
        request = CommentaryRequest(
            genres=exposure.genres,
            artist=exposure.artist,
            title=exposure.title,
            num_samples=exposure.num_samples,
            sampling=exposure.sampling,
            seed=exposure.seed,
            best_of=exposure.best_of,
            rank_by=RankBy(exposure.rank_by) if exposure.rank_by else None,
            topic=exposure.topic,
        )
        commentator.check(request)
    except ContractError as cause:
        return str(cause)
    return request


def _unit_values(replayed: Replay, values: Values) -> dict[str, float]:
    """Return the mean value of a version's samples for each unit; exposures without a unit are units of their own."""
    texts = [
        masked(sample.text, artist=answer.exposure.artist, title=answer.exposure.title)
        for answer in replayed.answers
        for sample in answer.samples
    ]
    found = iter(values(texts) if texts else ())
    by_unit: dict[str, list[float]] = defaultdict(list)
    for answer in replayed.answers:
        own = [float(next(found)) for _ in answer.samples]
        by_unit[answer.exposure.unit or answer.exposure.id].append(fmean(own))
    return {unit: fmean(own) for unit, own in by_unit.items()}


def _mean(values: Sequence[float]) -> tuple[float, float]:
    """Return the mean of some values, and half the width of its interval of 95%."""
    return fmean(values), _NORMAL_95 * stdev(values) / math.sqrt(len(values))
