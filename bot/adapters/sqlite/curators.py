"""The curators' work in SQLite: their progress, and the songs that they look at."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from typing_extensions import override

from bot.adapters.sqlite.file import SqliteFile, stamp
from bot.ports import CuratorDesk, Progress

_PROGRESS = """
SELECT COALESCE(SUM(verdict.who = :who), 0) AS mine, COUNT(*) AS everybody,
       COALESCE(SUM(verdict.who = :who AND verdict.decided_at >= :recently), 0) AS recent
FROM verdict JOIN candidate ON candidate.id = verdict.candidate_id AND candidate.verdict_id = verdict.id
WHERE verdict.decided_at >= :since
"""
_WAITING = "SELECT COALESCE(SUM(count), 0) FROM candidate_tally WHERE status = 'waiting'"


class SqliteCuratorDesk(SqliteFile, CuratorDesk):
    """Part of the desk for the curators' work."""

    @override
    def progress(self, who: str, *, since: datetime, recently: datetime) -> Progress:
        (row,) = self._read(_PROGRESS, {"who": who, "since": stamp(since), "recently": stamp(recently)})
        (waiting,) = self._read(_WAITING)
        return Progress(**dict(row), waiting=waiting[0])

    @override
    def look(self, who: str, place: str) -> None:
        with self._writing() as connection:
            connection.execute("INSERT OR REPLACE INTO viewer VALUES (?, ?, ?)", (who, place, self._now()))

    @override
    def lookers(self, *, since: datetime) -> Mapping[str, tuple[str, ...]]:
        rows = self._read(
            "SELECT who, song FROM viewer WHERE song <> '' AND seen_at >= ? ORDER BY who", (stamp(since),)
        )
        found: dict[str, tuple[str, ...]] = {}
        for row in rows:
            found[row["song"]] = (*found.get(row["song"], ()), row["who"])
        return found
