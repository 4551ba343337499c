"""Songs of the bot's store, each with all of its candidates."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby

from bot.ports import QueueRow


@dataclass(frozen=True, slots=True, kw_only=True)
class SongRecord:
    """A song with all of its candidates, judged or not, at one moment.

    Raises:
        ValueError: there is not any candidate, or they are of several songs.
    """

    rows: tuple[QueueRow, ...]
    """Candidates with their verdicts, in the order of the queue."""

    def __post_init__(self) -> None:
        if len(places := {_place(row) for row in self.rows}) != 1:
            raise ValueError(f"a record needs the candidates of one song, got those of {len(places)}")

    @property
    def place(self) -> str:
        """Permanent id of the song: its source post's id and its number in the post, as in 17.1."""
        return _place(self.rows[0])


def read_songs(rows: Iterable[QueueRow]) -> Iterator[SongRecord]:
    """Group the candidates of a queue by their songs, one song at a time, so that a long queue fits into memory.

    Args:
        rows: all candidates in the order of the queue (`bot.ports.Queue.rows`), so those of a song are neighbours.
    """
    for _, group in groupby(rows, key=_place):
        yield SongRecord(rows=tuple(group))


def _place(row: QueueRow) -> str:
    report = row.candidate.report
    return f"{report.source_post_id}.{report.number}"
