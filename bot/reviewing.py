"""Candidates to the board, each exactly once, and the curators' verdicts back.

A row's id stands in the board's first column. Before rows are appended they are marked, and a call whose outcome is not
known (no answer, an error after the write was applied, a killed bot) is followed by a look at the board, never by the
same call.
"""

from __future__ import annotations

import threading

from bot.domain.errors import DoubtfulError, NetworkError
from bot.ports import Board, BoardStore
from bot.schedule import Settling
from bot.summary import Summary

PART = "board"
_BATCH = 100
"""Rows of one append."""


class Reviewing:
    """Keeps a board in step with the store.

    Args:
        board: where curators decide.
        store: what the bot remembers of it.
        settling: how long an append in doubt is left alone.
    """

    def __init__(self, *, board: Board, store: BoardStore, settling: Settling) -> None:
        self._board = board
        self._store = store
        self._settling = settling
        self._prepared = False

    def run(self, summary: Summary, stop: threading.Event) -> None:
        """Append what is new, then read what curators decided.

        Raises:
            NetworkError: the board cannot be used now; nothing is lost, and the next pass goes on.
        """
        if not self._prepared:
            self._board.prepare()
            self._prepared = True
        self._append(summary, stop)
        if stop.is_set():
            return
        changes = self._store.apply_board(self._board.rows())
        summary.verdicts += len(changes.verdicts)
        summary.notices += [f"{self._board.name}: {doubt}" for doubt in changes.unclear]

    def _append(self, summary: Summary, stop: threading.Event) -> None:
        doubtful, began_at = self._store.boarding()
        rows = self._store.unboarded(_BATCH)
        if not doubtful and not rows:
            return
        if doubtful and not self._settling.is_settled(PART, began_at):
            return  # the append in doubt may still be applied; what is new waits with it, so the order stays
        present = self._board.ids()
        there = [name for name in doubtful if name in present]
        self._store.settle_boarding(there=there, missing=[name for name in doubtful if name not in present])
        summary.rows_boarded += len(there)
        while (rows := self._store.unboarded(_BATCH)) and not stop.is_set():
            ids = [row.candidate.id for row in rows]
            self._store.begin_boarding(ids)
            self._settling.begin(PART)
            try:
                # A row may be there already: the database was put back from a copy.
                self._board.append([row for row in rows if row.candidate.id not in present])
            except DoubtfulError:
                raise
            except NetworkError:
                self._store.settle_boarding(there=(), missing=ids)
                raise
            self._store.settle_boarding(there=ids, missing=())
            summary.rows_boarded += len(ids)
