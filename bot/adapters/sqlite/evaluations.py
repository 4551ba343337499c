"""Verdicts that nobody outside was told of yet, in SQLite. A trigger adds each as soon as it counts by version."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Final

from typing_extensions import override

from bot.adapters.sqlite.file import SqliteFile
from bot.domain.candidates import Decision, Verdict
from bot.ports import Evaluation, EvaluationStore

# A song may be blind once more, after an undo.
_DUE: Final = """
SELECT verdict.*, candidate.model, candidate.model_version, candidate.experiment, candidate.exposure_id,
       candidate.trace_id
FROM evaluation JOIN verdict ON verdict.id = evaluation.verdict_id JOIN candidate ON candidate.id = verdict.candidate_id
WHERE NOT candidate.blind ORDER BY evaluation.verdict_id LIMIT ?
"""


class SqliteEvaluations(SqliteFile, EvaluationStore):
    """Verdicts to tell of, in the bot's database."""

    @override
    def evaluations_due(self, limit: int) -> list[Evaluation]:
        return [_evaluation(row) for row in self._read(_DUE, (limit,))]

    @override
    def settle_evaluations(self, told: Sequence[Evaluation]) -> None:
        if told:
            with self._writing() as connection:
                connection.executemany("DELETE FROM evaluation WHERE verdict_id = ?", [(each.number,) for each in told])

    @override
    def drop_evaluations(self) -> None:
        if self._read("SELECT 1 FROM evaluation LIMIT 1"):  # a pass without verdicts writes nothing
            with self._writing() as connection:
                connection.execute("DELETE FROM evaluation")


def _evaluation(row: sqlite3.Row) -> Evaluation:
    return Evaluation(
        number=row["id"],
        verdict=Verdict(
            candidate_id=row["candidate_id"],
            decision=Decision(row["decision"]),
            who=row["who"],
            edited_text=row["edited_text"],
            reason=row["reason"],
        ),
        decided_at=row["decided_at"],
        model=row["model"],
        model_version=row["model_version"],
        experiment=row["experiment"],
        exposure_id=row["exposure_id"],
        trace_id=row["trace_id"],
    )
