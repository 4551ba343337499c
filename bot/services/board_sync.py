"""Synchronization of the board: candidates are appended exactly once, verdicts are read, other verdicts written.

A candidate's id is in the first column of its row. Rows are marked before they are appended or edited. If the outcome
of a call is unknown (no answer, an error after the write was applied, a killed bot), the board is read before any
retry.
"""

from __future__ import annotations

import threading

from bot.domain.errors import DoubtfulError, NetworkError
from bot.ports import Board, BoardEdited, BoardStore
from bot.services.schedule import SettleTimer
from bot.services.summary import Summary

PART = "board"
_BATCH = 100
"""Maximum rows of one append or edit."""
_EDITS = "board edits"
"""Key of the settle timer for edits."""


class BoardSync:
    """Two-way synchronization of a board and the store.

    Args:
        board: table that the curators edit.
        store: the bot's record of the board.
        settle_timer: time until a write in doubt is looked up.
    """

    def __init__(self, *, board: Board, store: BoardStore, settle_timer: SettleTimer) -> None:
        self._board = board
        self._store = store
        self._settle_timer = settle_timer
        self._prepared = False

    def run(self, summary: Summary, stop: threading.Event) -> None:
        """Append new candidates, read verdicts from the board, then write verdicts that were given elsewhere.

        The order matters: what a curator typed on the board is never overwritten.

        Raises:
            NetworkError: the board cannot be used now; nothing is lost, and the next pass continues.
        """
        if not self._prepared:
            self._board.prepare()
            self._prepared = True
        self._append(summary, stop)
        if not stop.is_set():
            self._read(summary)
        if not stop.is_set():
            self._edit(summary)

    def _read(self, summary: Summary) -> None:
        doubtful, began_at = self._store.edits_in_doubt()
        # Checked before the board is read, so that the read sees everything that was applied by then.
        settled = bool(doubtful) and self._settle_timer.is_settled(_EDITS, began_at)
        changes = self._store.apply_board(self._board.rows())
        summary.verdicts += len(changes.verdicts)
        summary.rows_edited += changes.landed
        summary.notices += [f"{self._board.name}: {doubt}" for doubt in changes.unclear]
        if settled:
            missing = set(doubtful).intersection(self._store.edits_in_doubt()[0])
            self._store.settle_edits(BoardEdited(written=frozenset(), left=frozenset(missing)))

    def _edit(self, summary: Summary) -> None:
        """Write at most one batch per pass: a row that was skipped is read before it is edited again."""
        if self._store.edits_in_doubt()[0]:
            return  # edits in doubt may still be applied; new edits wait, so that the ones in doubt can settle
        edits = self._store.begin_edits(_BATCH)
        if not edits:
            return
        self._settle_timer.begin(_EDITS)
        try:
            edited = self._board.edit(edits)
        except DoubtfulError:
            raise
        except NetworkError:
            names = frozenset(edit.candidate_id for edit in edits)
            self._store.settle_edits(BoardEdited(written=frozenset(), left=names))
            raise
        self._store.settle_edits(edited)
        summary.rows_edited += len(edited.written)

    def _append(self, summary: Summary, stop: threading.Event) -> None:
        doubtful, began_at = self._store.appends_in_doubt()
        rows = self._store.pending_append(_BATCH)
        if not doubtful and not rows:
            return
        if doubtful and not self._settle_timer.is_settled(PART, began_at):
            return  # the append in doubt may still be applied; new rows wait, so that the order stays
        present = self._board.ids()
        there = [name for name in doubtful if name in present]
        self._store.settle_appends(there=there, missing=[name for name in doubtful if name not in present])
        summary.rows_appended += len(there)
        while (rows := self._store.pending_append(_BATCH)) and not stop.is_set():
            ids = [row.candidate.id for row in rows]
            self._store.begin_append(ids)
            self._settle_timer.begin(PART)
            try:
                # A row may be on the board already, if the database was restored from a backup.
                self._board.append([row for row in rows if row.candidate.id not in present])
            except DoubtfulError:
                raise
            except NetworkError:
                self._store.settle_appends(there=(), missing=ids)
                raise
            self._store.settle_appends(there=ids, missing=())
            summary.rows_appended += len(ids)
