"""Synchronization of the board: candidates are appended exactly once, verdicts are read, other verdicts written.

A verdict to which the rules for posts object is not taken: the row's status is set back, with the reason as its note.

A candidate's id is in the first column of its row. Rows are marked before they are appended or edited. If the outcome
of a call is unknown (no answer, an error after the write was applied, a killed bot), the board is read before any
retry.

The three steps are parts of their own: a table that takes no more rows is still read, and one that nobody may change
still gives its verdicts.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from bot.domain.errors import DoubtfulError, NetworkError, NetworkUnavailableError
from bot.domain.odd_items import OddItem
from bot.ports import Board, BoardEdit, BoardEdited, BoardStore, QueueRow
from bot.services.post_rules import PostRules
from bot.services.schedule import SettleTimer
from bot.services.summary import Summary

PART = "board"
ROWS_PART = "board rows"
EDITS_PART = "board edits"
_BATCH = 100
"""Maximum rows of one append or edit."""
_IN_A_ROW = 2
_EDITS = "board edits"
"""Key of the settle timer for edits."""

_Item = TypeVar("_Item", QueueRow, BoardEdit)


class BoardSync:
    """Two-way synchronization of a board and the store.

    Args:
        board: table that the curators edit.
        store: the bot's record of the board.
        rules: what may be accepted, and the posts that the board shows.
        settle_timer: time until a write in doubt is looked up.
    """

    def __init__(self, *, board: Board, store: BoardStore, rules: PostRules, settle_timer: SettleTimer) -> None:
        self._board = board
        self._store = store
        self._rules = rules
        self._settle_timer = settle_timer
        self._prepared = False

    def run(self, summary: Summary, stop: threading.Event) -> None:
        """Append new candidates, read verdicts from the board, then write verdicts that were given elsewhere.

        Each step is tried whatever becomes of the one before it, but nothing is written over what was not read.

        Raises:
            NetworkError: a step failed; nothing is lost, and the next pass continues.
        """
        failure: NetworkError | None = None
        try:
            self.append(summary, stop)
        except NetworkError as error:
            failure = error
        self.read(summary, stop)
        self.edit(summary, stop)
        if failure is not None:
            raise failure

    def append(self, summary: Summary, stop: threading.Event) -> None:
        """Append new candidates.

        Raises:
            NetworkError: the board takes no rows now.
        """
        self._in_place(lambda: self._append(summary, stop))

    def read(self, summary: Summary, stop: threading.Event) -> None:
        """Read verdicts from the board.

        Raises:
            NetworkError: the board cannot be read now.
        """
        if not stop.is_set():
            self._in_place(lambda: self._read(summary))

    def edit(self, summary: Summary, stop: threading.Event) -> None:
        """Write what the rows do not show yet, such as verdicts given elsewhere; first is read what curators typed.

        Raises:
            NetworkError: the board cannot be edited now.
        """
        if not stop.is_set():
            self._in_place(lambda: self._edit(summary))

    def _in_place(self, step: Callable[[], None]) -> None:
        """Run a step on the prepared board; after a failure the table is looked for again, since it may have moved."""
        if not self._prepared:
            self._board.prepare()
            if self._board.is_unknown():
                # A table that the bot has never used and that holds nothing gets what waits, wherever it was before.
                if not self._board.ids():
                    self._store.board_again()
                self._board.remember()
            self._prepared = True
        try:
            step()
        except NetworkError:
            self._prepared = False
            raise

    def _read(self, summary: Summary) -> None:
        doubtful, began_at = self._store.edits_in_doubt()
        # Checked before the board is read, so that the read sees everything that was applied by then.
        settled = bool(doubtful) and self._settle_timer.is_settled(_EDITS, began_at)
        changes = self._store.apply_board(
            self._board.rows(), objection_to=self._rules.objection_to, shows_posts=self._board.shows_posts
        )
        summary.verdicts += len(changes.verdicts)
        summary.rows_edited += changes.landed
        summary.notices += [f"{self._board.name}: {doubt}" for doubt in changes.unclear]
        summary.rows_missing = len(changes.missing)
        if settled:
            missing = set(doubtful).intersection(self._store.edits_in_doubt()[0])
            self._store.settle_edits(BoardEdited(written=frozenset(), left=frozenset(missing)))

    def _edit(self, summary: Summary) -> None:
        """Write at most one batch per pass: a row that was skipped is read before it is edited again."""
        if self._store.edits_in_doubt()[0]:
            return  # edits in doubt may still be applied; new edits wait, so that the ones in doubt can settle
        edits = self._store.begin_edits(_BATCH, post_of=lambda row, text: self._rules.preview(row, text).text)
        if not edits:
            return
        self._settle_timer.begin(_EDITS)
        unsettled = {edit.candidate_id for edit in edits}

        def write(part: Sequence[BoardEdit]) -> None:
            edited = self._board.edit(part)
            self._store.settle_edits(edited)
            unsettled.difference_update(edit.candidate_id for edit in part)
            summary.rows_edited += len(edited.written)

        try:
            refused = _in_halves(edits, write)
            for edit, error in refused:
                self._store.settle_edits(BoardEdited(written=frozenset(), gone=frozenset({edit.candidate_id})))
                self._set_aside(edit.candidate_id, edit, error, summary)
        except DoubtfulError:
            raise
        except NetworkError:
            self._store.settle_edits(BoardEdited(written=frozenset(), left=frozenset(unsettled)))
            raise

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
            self._append_batch(rows, present, summary)

    def _append_batch(self, rows: Sequence[QueueRow], present: set[str], summary: Summary) -> None:
        unsettled = [row.candidate.id for row in rows]
        self._store.begin_append(unsettled)
        self._settle_timer.begin(PART)

        def write(part: Sequence[QueueRow]) -> None:
            # A row may be on the board already, if the database was restored from a backup.
            self._board.append([row for row in part if row.candidate.id not in present])
            names = [row.candidate.id for row in part]
            self._store.settle_appends(there=names, missing=())
            unsettled[:] = [name for name in unsettled if name not in names]
            summary.rows_appended += len(names)

        try:
            refused = _in_halves(rows, write)
        except DoubtfulError:
            raise
        except NetworkError:
            self._store.settle_appends(there=(), missing=unsettled)
            raise
        for row, error in refused:
            self._store.keep_off_board(row.candidate.id, str(error))
            self._set_aside(row.candidate.id, row.source_post.text, error, summary)

    def _set_aside(self, key: str, what: object, error: NetworkError, summary: Summary) -> None:
        self._store.set_aside(PART, [OddItem(key=key, reason=str(error), excerpt=str(what))])
        summary.odd_items += 1
        summary.notices.append(f"{self._board.name}: {key} is set aside: {error}")


def _in_halves(items: Sequence[_Item], write: Callable[[Sequence[_Item]], None]) -> list[tuple[_Item, NetworkError]]:
    """Write items in one call; if the table refuses them, in halves, down to those that it refuses.

    Returns:
        The refused items, of which each is odd: the table took others.

    Raises:
        NetworkUnavailableError: the table refuses every item, so the refusal is about the table.
        NetworkError: see `Board.append`.
    """
    refused: list[tuple[_Item, NetworkError]] = []
    taken = 0
    waiting: list[Sequence[Any]] = [items]
    while waiting:
        # After two refusals in a row the far end is tried: are the first rows odd, or does the table take none?
        part = waiting.pop(0 if len(refused) == _IN_A_ROW and not taken else -1)
        try:
            write(part)
            taken += len(part)
        except NetworkUnavailableError as error:
            if not error.refuses_rows:
                raise
            if len(part) == 1:
                refused.append((part[0], error))
                if len(refused) > _IN_A_ROW and not taken:
                    break  # neither the first rows nor the last ones: the rest would be refused as well
                continue
            waiting += [part[len(part) // 2 :], part[: len(part) // 2]]
    if refused and not taken:
        raise NetworkUnavailableError(f"{refused[0][1]}; the rows will be tried again") from refused[0][1]
    return refused
