"""Verdicts as events `gen_ai.evaluation.result` of OpenTelemetry's conventions for generative models.

An event holds neither the song nor a text nor the curator: a reason is told where it is one of the fixed ones.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Final

from typing_extensions import override

from bot.domain.candidates import NO_SONG, SONG_CHANGED, Decision, RejectReason, Verdict
from bot.ports import Evaluation, EvaluationEvents
from serving.telemetry import names

if TYPE_CHECKING:
    from serving.telemetry.events import Events

_NS: Final = 1_000_000_000
_ACCEPTED: Final = "accepted"
_EDITED: Final = "edited"
_REJECTED: Final = "rejected"
_UNDONE: Final = "undone"
_WITHDRAWN: Final = "withdrawn"
_VALUES: Final = {_ACCEPTED: 1.0, _EDITED: 1.0, _REJECTED: 0.0}
"""Scores of labels; one that was undone or withdrawn has none, since it says nothing about the model."""
_WITHDRAWALS: Final = frozenset({NO_SONG, SONG_CHANGED})
_TOLD_REASONS: Final = frozenset({*RejectReason, *_WITHDRAWALS})


class OtlpEvaluationEvents(EvaluationEvents):
    """Events of verdicts.

    Args:
        events: sends them.
    """

    def __init__(self, events: Events) -> None:
        self._events = events

    @override
    def tell(self, evaluation: Evaluation) -> None:
        moment = datetime.fromisoformat(evaluation.decided_at)
        self._events.emit(
            names.EVALUATION_RESULT,
            dict(_attributes(evaluation)),
            at_ns=int(moment.timestamp()) * _NS,
            trace_id=evaluation.trace_id,
        )

    @override
    def counts(self) -> Mapping[str, int]:
        return self._events.counts()


def _attributes(evaluation: Evaluation) -> Iterator[tuple[str, str | float]]:
    label = _label(evaluation.verdict)
    yield names.EVALUATION_NAME, names.CURATOR_VERDICT
    yield names.EVALUATION_LABEL, label
    if label in _VALUES:
        yield names.EVALUATION_VALUE, _VALUES[label]
    if evaluation.verdict.reason in _TOLD_REASONS:
        yield names.EVALUATION_EXPLANATION, evaluation.verdict.reason
    yield names.RESPONSE_MODEL, f"{evaluation.model}/{evaluation.model_version}"
    yield names.CANDIDATE, evaluation.verdict.candidate_id
    if evaluation.exposure_id:
        yield names.RESPONSE_ID, evaluation.exposure_id
    if evaluation.experiment:
        yield names.EXPERIMENT, evaluation.experiment


def _label(verdict: Verdict) -> str:
    match verdict.decision:
        case Decision.ACCEPT:
            return _ACCEPTED if verdict.edited_text is None else _EDITED
        case Decision.REJECT:
            return _WITHDRAWN if verdict.reason in _WITHDRAWALS else _REJECTED
        case Decision.UNDO:
            return _UNDONE
