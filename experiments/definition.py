"""Definition of an experiment: the versions that it compares, how their samples are dealt out, and when it decides."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from experiments.errors import ExperimentError
from serving.traffic.experiment import ExperimentDesign, ExperimentMark, check_experiment_name

MAX_TREATMENTS: Final = 5
"""Treatments of one experiment. Alpha is shared among them, so each more makes all of them take longer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Guardrails:
    """Limits of harm beside the control. A version that is beyond one of them loses its requests.

    Raises:
        ExperimentError: a limit is out of range.
    """

    max_error_increase: float = 0.03
    """Share of failed requests, more than the control's."""
    max_slowdown: float = 1.5
    """95th percentile of the time of an answer, over the control's."""
    max_copy_increase: float = 0.10
    """Share of samples that contain a long run of words of the training text, more than the control's."""
    max_acceptance_loss: float = 0.20
    """Share of accepted samples, less than the control's."""
    alpha: float = 0.01
    """Bound on the probability that any guardrail ever stops a version that is within all limits."""

    def __post_init__(self) -> None:
        for name in ("max_error_increase", "max_copy_increase", "max_acceptance_loss", "alpha"):
            if not 0 < (value := getattr(self, name)) < 1:
                raise ExperimentError(f"{name} must be more than 0 and less than 1, got {value:g}")
        if not self.max_slowdown > 1:
            raise ExperimentError(f"max_slowdown must be more than 1, got {self.max_slowdown:g}")


class ActionKind(StrEnum):
    """Kinds of what an experiment does by itself."""

    TAKE_OFF = "take off"
    """A version beyond a limit loses its requests."""
    PROMOTE = "promote"
    """The winner becomes the champion."""
    STOP = "stop"
    """The experiment ends."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ActionRecord:
    """Action that was carried out."""

    kind: ActionKind
    version: str
    """Version that it concerns; empty where it concerns none."""
    reason: str
    """Sentence with the figures that led to it."""
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Experiment:
    """One comparison of versions of a model.

    Raises:
        ExperimentError: the name is not one, the versions are not distinct, or alpha is out of range.
    """

    name: str
    model: str
    control: str
    """Version that the others are compared with."""
    treatments: tuple[str, ...]
    design: ExperimentDesign
    started: datetime
    """Start (UTC). Songs and requests from before do not count."""
    stopped: datetime | None = None
    """End (UTC); None while it runs. Songs from later do not count; verdicts on earlier ones do."""
    outcome: str = ""
    """Sentence that says how it ended; empty while it runs."""
    auto: bool = False
    """Whether a winner is promoted by itself; otherwise it is recommended."""
    alpha: float = 0.05
    """Bound on the probability that a difference is ever found where there is none."""
    guardrails: Guardrails = Guardrails()
    actions: tuple[ActionRecord, ...] = ()
    """Actions that were carried out, the earliest first."""

    def __post_init__(self) -> None:
        try:
            check_experiment_name(self.name)
        except ValueError as cause:
            raise ExperimentError(str(cause)) from cause
        if not self.treatments:
            raise ExperimentError(f"the experiment {self.name} needs a treatment beside the control {self.control}")
        if len(self.treatments) > MAX_TREATMENTS:
            raise ExperimentError(
                f"the experiment {self.name} has {len(self.treatments)} treatments: compare at most {MAX_TREATMENTS} "
                "at a time"
            )
        if len(set(self.versions)) < len(self.versions):
            raise ExperimentError(
                f"the versions of the experiment {self.name} must differ, got {', '.join(self.versions)}"
            )
        if not 0 < self.alpha < 1:
            raise ExperimentError(f"alpha must be more than 0 and less than 1, got {self.alpha:g}")

    @property
    def is_running(self) -> bool:
        """Whether it has not been stopped."""
        return self.stopped is None

    @property
    def taken_off(self) -> Mapping[str, str]:
        """Versions that lost their requests, with the reason."""
        return {each.version: each.reason for each in self.actions if each.kind is ActionKind.TAKE_OFF}

    @property
    def arms(self) -> tuple[str, ...]:
        """Versions that take part still, the control first."""
        return tuple(version for version in self.versions if version not in self.taken_off)

    @property
    def mark(self) -> ExperimentMark:
        """Mark by which its versions take part, as their tags have it and the gateway reads it."""
        return ExperimentMark(name=self.name, design=self.design, since=self.started)

    @property
    def salt(self) -> str:
        """Salt by which the sticky design deals units out: the name, so that no two experiments share their arms."""
        return self.name

    @property
    def versions(self) -> tuple[str, ...]:
        """All versions, the control first."""
        return (self.control, *self.treatments)
