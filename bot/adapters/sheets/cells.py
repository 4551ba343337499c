"""Columns of the sheet, and what its cells may hold."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from bot.ports import QueueRow

Cell = str | float | None
POST: Final = "post_preview"
"""Header of the column with the post as it will be sent."""
VARIANT: Final = "variant"
"""Header of the column with the model and version; the cell is empty while a candidate is blind."""
SCORE: Final = "score"
"""Header of the column with the score; the cell is empty while a candidate is blind."""
CELLS: Final[tuple[tuple[str, Callable[[QueueRow], Cell]], ...]] = (
    ("candidate_id", lambda row: row.candidate.id),
    ("status", lambda row: row.candidate.status.value),
    ("commentary", lambda row: row.text),
    ("curator", lambda row: row.verdict.who if row.verdict is not None else ""),
    ("spotifyquery", lambda row: f"{row.candidate.report.artist} - {row.candidate.report.song.title}"),
    ("spotifygenres", lambda row: row.candidate.report.genre_line),
    ("flags", lambda row: ", ".join(row.candidate.flags)),
    (VARIANT, lambda row: row.candidate.variant),
    (SCORE, lambda row: row.candidate.shown_score),
    ("tweet", lambda row: row.source_post.text),
    ("source", lambda row: row.source_post.url or row.source_post.author),
    ("tweetid", lambda row: row.source_post.id),
    ("date", lambda row: row.created_at),
)
"""Header and value of each column of a new sheet but the last. Columns that the sheet of 2019 had keep its names."""
COLUMNS: Final = (*(name for name, _ in CELLS), POST)
"""Header of a new sheet."""
MAX_CELL: Final = 50_000
"""Google's limit for the characters of a cell."""
_CUT: Final = " … (cut)"


def fits(text: str | None) -> bool:
    """Whether a text is short enough for a cell."""
    # Google counts in UTF-16.
    return text is None or len(text.encode("utf-16-le", "replace")) // 2 <= MAX_CELL


def shortened(cell: Cell) -> Cell:
    """A cell that Google accepts; one that is too long is cut, with a mark."""
    if not isinstance(cell, str) or fits(cell):
        return cell
    room = 2 * (MAX_CELL - len(_CUT))
    return cell.encode("utf-16-le", "replace")[:room].decode("utf-16-le", "ignore") + _CUT
