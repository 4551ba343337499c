"""The queue as a file for other programs: CSV that a spreadsheet may open safely, or JSON lines."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable
from typing import IO

from bot.ports import QueueRow

COLUMNS = (
    "candidate_id",
    "status",
    "artist",
    "title",
    "genres",
    "text",
    "sample",
    "model",
    "model_version",
    "seed",
    "log_prob",
    "tweet_id",
    "tweet_author",
    "tweet_text",
    "created_at",
    "decided_by",
    "decided_at",
)
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")  # wide forms count in some programs
_LIST_SEPARATOR = "; "


def as_document(row: QueueRow) -> dict[str, object]:
    """A row of the queue as plain values, one per column."""
    candidate, verdict = row.candidate, row.verdict
    return {
        "candidate_id": candidate.id,
        "status": candidate.status.value,
        "artist": candidate.report.artist,
        "title": candidate.report.song.title,
        "genres": list(candidate.report.genres),
        "text": row.text,
        "sample": candidate.sample.text,
        "model": candidate.model,
        "model_version": candidate.model_version,
        "seed": candidate.sample.seed,
        "log_prob": candidate.sample.log_prob,
        "tweet_id": row.source_post.id,
        "tweet_author": row.source_post.author,
        "tweet_text": row.source_post.text,
        "created_at": row.created_at,
        "decided_by": verdict.who if verdict is not None else None,
        "decided_at": row.decided_at,
    }


def write_jsonl(rows: Iterable[QueueRow], file: IO[str]) -> int:
    """Write JSON lines; the number of rows."""
    count = 0
    for row in rows:
        file.write(json.dumps(as_document(row), ensure_ascii=False) + "\n")
        count += 1
    return count


def write_csv(rows: Iterable[QueueRow], file: IO[str]) -> int:
    """Write CSV with a header; the number of rows.

    Texts come from strangers and from a model: one that a spreadsheet would take for a formula is led by an apostrophe,
    which spreadsheets read as "this is text".
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
