"""Interleaved answers: the samples of several versions for one request, in an order that tells nothing about them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass

from handlers.contract import CommentaryResponse, ModelIdentity, Sample, Timings


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmAnswer:
    """Part of one version in an answer."""

    model: ModelIdentity
    timings: Timings
    exposure_id: str
    """Key of the exposure of this part; empty from a gateway that does not tell it."""
    error: str = ""
    """Reason for which the version gave no samples; empty if it answered."""
    genres_unknown: tuple[str, ...] = ()
    """Genres of the request for which this version has no label."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InterleavedResponse:
    """The answer to one request by one version or more.

    Raises:
        ValueError: a sample names an arm that is not there, or the samples and their arms differ in number.
    """

    samples: tuple[Sample, ...]
    """Samples of all arms, shuffled: their places tell nothing about their versions."""
    sample_arms: tuple[int, ...]
    """Index in `arms` of each sample's version."""
    arms: tuple[ArmAnswer, ...]
    """Versions that were asked, in the order of their numbers; those that failed have an `error` and no sample."""
    experiment: str = ""
    """Experiment to which the answer belongs: of the interleaved design with all arms, of the sticky one with one arm.
    Empty if it belongs to none."""
    genres_used: tuple[str, ...] = ()
    """Labels to which the first version that answered mapped the request's genres."""
    request_id: str | None = None
    trace_id: str = ""
    """Trace of the request, 32 hexadecimal digits; empty if it belongs to none."""

    def __post_init__(self) -> None:
        if len(self.sample_arms) != len(self.samples):
            raise ValueError(f"{len(self.samples)} samples need as many arms, got {len(self.sample_arms)}")
        if self.sample_arms and not (min(self.sample_arms) >= 0 and max(self.sample_arms) < len(self.arms)):
            raise ValueError(f"sample_arms must be indices of {len(self.arms)} arms, got {self.sample_arms}")

    @property
    def first(self) -> ArmAnswer:
        """The first version that answered; the first of all if none did."""
        return next((arm for arm in self.arms if not arm.error), self.arms[0])

    def arm_of(self, sample: int) -> ArmAnswer:
        """Return the version that wrote a sample.

        Args:
            sample: place of the sample in `samples`.
        """
        return self.arms[self.sample_arms[sample]]


def samples_per_arm(num_samples: int, num_arms: int) -> int:
    """Return the number of samples that each arm is asked for: an equal share, rounded up.

    >>> samples_per_arm(5, 2)
    3
    """
    return -(-num_samples // num_arms)


def shuffled(count: int, *, experiment: str, seed: int | None, unit: str | None) -> list[int]:
    """Return the numbers below a count in an order that follows from experiment, seed and unit alone.

    They are sorted by the SHA-256 of the JSON array of experiment, seed, unit and number, so every program and every
    version of Python finds the same order.

    Args:
        count: how many numbers.
        experiment: name of the experiment.
        seed: seed of the request.
        unit: unit of the request.

    >>> shuffled(4, experiment="shorter", seed=7, unit="post:1")
    [2, 3, 1, 0]
    """
    return sorted(
        range(count),
        key=lambda number: hashlib.sha256(json.dumps([experiment, seed, unit, number]).encode()).digest(),
    )


def interleave(
    responses: Sequence[CommentaryResponse | None],
    arms: Sequence[ArmAnswer],
    *,
    experiment: str,
    seed: int | None,
    unit: str | None,
    request_id: str | None,
) -> InterleavedResponse:
    """Return the answers of an experiment's arms as one, shuffled.

    Args:
        responses: answer of each arm; None where it failed.
        arms: each arm's part, in the same order.
        experiment: name of the experiment.
        seed: seed with which the arms were asked.
        unit: unit of the request.
        request_id: as the client gave it.
    """
    answered = [response for response in responses if response is not None]
    samples = [
        (number, sample)
        for number, response in enumerate(responses)
        if response is not None
        for sample in response.samples
    ]
    order = shuffled(len(samples), experiment=experiment, seed=seed, unit=unit)
    return InterleavedResponse(
        samples=tuple(samples[place][1] for place in order),
        sample_arms=tuple(samples[place][0] for place in order),
        arms=tuple(arms),
        experiment=experiment,
        genres_used=answered[0].genres_used if answered else (),
        request_id=request_id,
    )
