"""Definition of an experiment: the versions that it compares, how their samples are dealt out, and when it decides."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from experiments.errors import ExperimentError


class Design(StrEnum):
    """Way in which the samples of an experiment's versions come to its units. The two are never mixed."""

    INTERLEAVED = "interleaved"
    """Each song has samples of every version, in equal numbers and shuffled: songs are compared with themselves."""
    STICKY = "sticky"
    """Each unit has samples of one version, by the hash of the unit: songs are compared with other songs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Guardrails:
    """Limits of harm beside the control. A version that is beyond one of them loses its requests.

    Raises:
        ExperimentError: a limit is out of range.
    """

    max_error_increase: float = 0.05
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Experiment:
    """One comparison of versions of a model."""

    name: str
    model: str
    control: str
    """Version that the others are compared with."""
    treatments: tuple[str, ...]
    design: Design
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

    @property
    def versions(self) -> tuple[str, ...]:
        """All versions, the control first."""
        return (self.control, *self.treatments)
