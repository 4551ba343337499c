"""Verdicts as evaluations of what a model wrote, for those who watch the models from outside."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bot.domain.candidates import Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """A verdict on a candidate whose version may be told."""

    number: int
    """Number of the verdict, which grows in the order in which verdicts are given."""
    verdict: Verdict
    decided_at: str
    """Time of the verdict, as ISO 8601 with its offset."""
    model: str
    model_version: str
    experiment: str
    """Experiment to which the candidate's song belongs; empty if it belongs to none."""
    exposure_id: str
    """Exposure of the answer that holds the candidate; empty if the gateway named none."""
    trace_id: str
    """Trace of the request for the candidate's song, 32 hexadecimal digits; empty if it belongs to none."""


class EvaluationStore(ABC):
    """Verdicts that nobody outside was told of yet."""

    @abstractmethod
    def evaluations_due(self, limit: int) -> list[Evaluation]:
        """Return verdicts to tell of, the oldest first.

        One on an experiment's song waits until every candidate of the song has a verdict: before, it would tell whose
        sentence a curator likes, and with the trace whose it was.
        """

    @abstractmethod
    def settle_evaluations(self, told: Sequence[Evaluation]) -> None:
        """Record that these were told of."""

    @abstractmethod
    def drop_evaluations(self) -> None:
        """Forget all that nobody was told of, also those that wait."""


class EvaluationEvents(ABC):
    """Receiver of verdicts outside of the bot."""

    @abstractmethod
    def tell(self, evaluation: Evaluation) -> None:
        """Let a verdict be sent; it neither waits nor fails."""

    @abstractmethod
    def counts(self) -> Mapping[str, int]:
        """Return the number of verdicts since the start, by what became of them: sent, or lost."""
