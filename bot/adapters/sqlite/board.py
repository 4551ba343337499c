"""The board's bookkeeping in SQLite: the rows on the board and their last known content."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterable, Sequence

from typing_extensions import override

from bot.adapters.sqlite import board_extras, odd_items
from bot.adapters.sqlite.board_edits import SqliteBoardEdits
from bot.adapters.sqlite.board_reading import BoardReading, last_known
from bot.adapters.sqlite.rows import SELECT_ROW, SELECT_ROWS, queue_row
from bot.domain.odd_items import OddItem
from bot.domain.post_text import as_written
from bot.ports import BoardChanges, BoardRow, QueueRow, TabRecord, TextRule

_APPEND_BEGAN = "boarding began"
_TAB = "tab"
MISSING = "missing on the board"
"""Note with the number of waiting candidates that are not on the board any more."""
# The index holds only candidates to append; without INDEXED BY, SQLite scans all that wait.
_PENDING_APPEND = f"""{SELECT_ROWS}
WHERE candidate.id IN (
    SELECT id FROM candidate INDEXED BY candidate_unboarded WHERE board = 'off' AND status = 'waiting'
    AND NOT EXISTS (SELECT 1 FROM board_refused WHERE board_refused.candidate_id = candidate.id)
    ORDER BY tweet_place, song_number, number LIMIT ?
)
ORDER BY candidate.tweet_place, candidate.song_number, candidate.number"""  # noqa: S608 -- constants


class SqliteBoardStore(SqliteBoardEdits, TabRecord):
    """Store of the board's rows."""

    @override
    def pending_append(self, limit: int) -> list[QueueRow]:
        return [queue_row(row) for row in self._read(_PENDING_APPEND, (limit,))]

    @override
    def begin_append(self, candidate_ids: Sequence[str]) -> None:
        with self._writing() as connection:
            connection.executemany(
                "UPDATE candidate SET board = 'doubtful' WHERE id = ? AND board = 'off'",
                [(name,) for name in candidate_ids],
            )
            # Decided elsewhere since it was read: the appended row will still say "waiting".
            connection.executemany(
                "INSERT INTO board_edit (candidate_id) SELECT id FROM candidate WHERE id = ? AND status <> 'waiting'"
                " ON CONFLICT (candidate_id) DO UPDATE SET due = 1",
                [(name,) for name in candidate_ids],
            )
            board_extras.expect_origins(connection, candidate_ids)
            connection.execute("DELETE FROM note WHERE key = ?", (_APPEND_BEGAN,))
            connection.execute("INSERT INTO note VALUES (?, '', ?)", (_APPEND_BEGAN, self._now()))

    @override
    def appends_in_doubt(self) -> tuple[Collection[str], str | None]:
        names = self._read("SELECT id FROM candidate WHERE board = 'doubtful'")
        began = self._read("SELECT updated_at FROM note WHERE key = ?", (_APPEND_BEGAN,))
        return [row["id"] for row in names], began[0]["updated_at"] if began else None

    @override
    def settle_appends(self, *, there: Collection[str], missing: Collection[str]) -> None:
        with self._writing() as connection:
            for place, names in (("on", there), ("off", missing)):
                connection.executemany(
                    "UPDATE candidate SET board = ? WHERE id = ? AND board = 'doubtful'",
                    [(place, name) for name in names],
                )

    @override
    def apply_board(
        self, rows: Iterable[BoardRow], *, objection_to: TextRule, shows_posts: bool = False
    ) -> BoardChanges:
        # Compared before the lock is taken: the rows come over the net, and other curators should not wait for them.
        changed, seen, twice = self._changed(rows)
        objections = self._objections(changed, objection_to)
        reading = BoardReading(
            unclear=[f"{name}: on the board more than once; delete the copies" for name in sorted(twice)]
        )
        with self._writing() as connection:
            for row in changed:
                reading.take(connection, row, objections.get(row.candidate_id, ""), self._now(), posts=shows_posts)
            missing = _missing(connection, seen)
            connection.execute("DELETE FROM note WHERE key = ?", (MISSING,))
            if missing:
                connection.execute("INSERT INTO note VALUES (?, ?, ?)", (MISSING, str(len(missing)), self._now()))
        return BoardChanges(
            verdicts=tuple(reading.verdicts), unclear=tuple(reading.unclear), landed=reading.landed, missing=missing
        )

    @override
    def tab_id(self, name: str) -> int | None:
        rows = self._read("SELECT value FROM note WHERE key = ?", (f"{_TAB} {name}",))
        return int(rows[0]["value"]) if rows else None

    @override
    def keep_tab_id(self, name: str, tab_id: int) -> None:
        with self._writing() as connection:
            connection.execute(
                "INSERT OR REPLACE INTO note VALUES (?, ?, ?)", (f"{_TAB} {name}", str(tab_id), self._now())
            )

    @override
    def keep_off_board(self, candidate_id: str, reason: str) -> None:
        with self._writing() as connection:
            connection.execute("INSERT OR REPLACE INTO board_refused VALUES (?, ?)", (candidate_id, reason))
            connection.execute(
                "UPDATE candidate SET board = 'off' WHERE id = ? AND board = 'doubtful'", (candidate_id,)
            )

    @override
    def board_again(self) -> None:
        with self._writing() as connection:
            waiting = "SELECT id FROM candidate WHERE board <> 'off' AND status = 'waiting'"
            for table in ("board_row", "board_edit", "board_extra"):
                connection.execute(f"DELETE FROM {table} WHERE candidate_id IN ({waiting})")  # noqa: S608 -- constants
            connection.execute("UPDATE candidate SET board = 'off' WHERE board <> 'off' AND status = 'waiting'")

    @override
    def set_aside(self, part: str, items: Iterable[OddItem]) -> None:
        with self._writing() as connection:
            odd_items.set_aside(connection, part, items, self._now())

    def _changed(self, rows: Iterable[BoardRow]) -> tuple[list[BoardRow], set[str], set[str]]:
        """Rows that have changed since they were read, the ids of all rows, and ids that several rows have.

        Rows that share an id express no verdict: a copy that still says "waiting" would undo the other's.
        """
        seen: set[str] = set()
        twice: set[str] = set()
        changed: list[BoardRow] = []
        for row in rows:
            if row.candidate_id in seen:
                twice.add(row.candidate_id)
            seen.add(row.candidate_id)
            if self._has_changed(row):
                changed.append(row)
        doubles = {row.candidate_id for row in changed} & twice
        return [row for row in changed if row.candidate_id not in twice], seen, doubles

    def _objections(self, rows: Iterable[BoardRow], objection_to: TextRule) -> dict[str, str]:
        """Reasons why candidates may not be accepted with the texts of their rows; empty ones without a reason."""
        found: dict[str, str] = {}
        for row in rows:
            for candidate in self._read(SELECT_ROW, (row.candidate_id,)):
                found[row.candidate_id] = objection_to(queue_row(candidate), as_written(row.text))
        return found

    def _has_changed(self, row: BoardRow) -> bool:
        before = last_known(self._connection, row.candidate_id)
        return before is not None and (before["status"], before["text"]) != (row.status, row.text)


def _missing(connection: sqlite3.Connection, seen: Collection[str]) -> tuple[str, ...]:
    """Within a transaction: waiting candidates that were put on the board and have no row among those seen."""
    names = connection.execute("SELECT id FROM candidate WHERE status = 'waiting' AND board = 'on'")
    return tuple(row["id"] for row in names if row["id"] not in seen)
