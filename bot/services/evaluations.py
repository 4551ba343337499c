"""Telling of verdicts to those who watch the models from outside, once and in their order."""

from __future__ import annotations

from typing import Final

from bot.ports import EvaluationEvents, EvaluationStore

PART: Final = "evaluations"
"""Name of the part."""
_MOST: Final = 1000
"""Verdicts of a pass: the queue that sends them holds 2,048, and drops what is more."""


class EvaluationTeller:
    """Teller of verdicts, those of other processes included.

    Args:
        store: has the verdicts.
        events: gets them; None while nobody wants any, when they are forgotten.
    """

    def __init__(self, *, store: EvaluationStore, events: EvaluationEvents | None) -> None:
        self._store = store
        self._events = events

    def run(self) -> None:
        """Tell of the verdicts that are due."""
        if self._events is None:
            self._store.drop_evaluations()
            return
        due = self._store.evaluations_due(_MOST)
        for evaluation in due:
            self._events.tell(evaluation)
        self._store.settle_evaluations(due)
