"""The queue as a file for other programs: CSV that a spreadsheet may open safely, or JSON lines."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterable
from dataclasses import asdict
from typing import IO, Final

from bot.ports import LabelRow, QueueRow


def _unless_blind(row: QueueRow, value: object) -> object:
    """Return what tells, or may tell, a candidate's version; None while it is blind."""
    return None if row.candidate.is_blind else value


_VALUES: Final[tuple[tuple[str, Callable[[QueueRow], object]], ...]] = (
    ("candidate_id", lambda row: row.candidate.id),
    ("status", lambda row: row.candidate.status.value),
    ("artist", lambda row: row.candidate.report.artist),
    ("title", lambda row: row.candidate.report.song.title),
    ("genres", lambda row: list(row.candidate.report.genres)),
    ("genres_asked", lambda row: list(row.candidate.report.genres_asked)),
    ("text", lambda row: row.text),
    ("sample", lambda row: row.candidate.sample.text),
    ("model", lambda row: row.candidate.model),
    ("model_version", lambda row: _unless_blind(row, row.candidate.model_version)),
    ("seed", lambda row: _unless_blind(row, row.candidate.sample.seed)),
    ("log_prob", lambda row: _unless_blind(row, row.candidate.sample.log_prob)),
    ("finish_reason", lambda row: _unless_blind(row, row.candidate.sample.finish_reason)),
    ("tweet_id", lambda row: row.source_post.id),
    ("tweet_author", lambda row: row.source_post.author),
    ("tweet_text", lambda row: row.source_post.text),
    ("created_at", lambda row: row.created_at),
    ("decided_by", lambda row: row.verdict.who if row.verdict is not None else None),
    ("decided_at", lambda row: row.decided_at),
    ("reason", lambda row: row.verdict.reason if row.verdict is not None else None),
    ("withdrawn", lambda row: row.candidate.withdrawn),
    ("experiment", lambda row: row.candidate.experiment),
    # All samples of an arm have the same, which would part the arms of a song.
    ("exposure_id", lambda row: _unless_blind(row, row.candidate.exposure_id)),
    # A tracing system knows the versions that answered.
    ("trace_id", lambda row: _unless_blind(row, row.candidate.trace_id)),
)
COLUMNS: Final = tuple(name for name, _ in _VALUES)
"""Columns of the export, in order."""
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")  # wide forms count in some programs
_LIST_SEPARATOR = "; "


def label_document(row: LabelRow) -> dict[str, object]:
    """A curator's judgement of a song that the parser found, as plain values."""
    return {**asdict(row), "label": row.label.value}


def write_labels(rows: Iterable[LabelRow], file: IO[str]) -> int:
    """Write judgements as JSON lines; return their number."""
    count = 0
    for row in rows:
        file.write(json.dumps(label_document(row), ensure_ascii=False) + "\n")
        count += 1
    return count


def as_document(row: QueueRow) -> dict[str, object]:
    """A row of the queue as plain values, one per column."""
    return {name: value_of(row) for name, value_of in _VALUES}


def write_jsonl(rows: Iterable[QueueRow], file: IO[str]) -> int:
    """Write JSON lines; return the number of rows."""
    count = 0
    for row in rows:
        file.write(json.dumps(as_document(row), ensure_ascii=False) + "\n")
        count += 1
    return count


def write_csv(rows: Iterable[QueueRow], file: IO[str]) -> int:
    """Write CSV with a header; return the number of rows.

    Texts come from strangers and from a model. One that a spreadsheet would take for a formula gets a leading
    apostrophe, which marks a cell as text.
    """
    writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
    writer.writeheader()
    count = 0
    for row in rows:
        count += 1
        writer.writerow({key: _cell(value) for key, value in as_document(row).items()})
    return count


def _cell(value: object) -> object:
    if isinstance(value, list):
        value = _LIST_SEPARATOR.join(value)
    return neutral(value) if isinstance(value, str) else value


def neutral(text: str) -> str:
    """A text that no spreadsheet takes for a formula.

    >>> neutral("=1+1"), neutral("plain")
    ("'=1+1", 'plain')
    """
    return f"'{text}" if text.lstrip(" ").startswith(_FORMULA_STARTS) else text
