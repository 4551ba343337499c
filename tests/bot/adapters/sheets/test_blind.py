"""The sheet shows versions and scores once a song of an experiment is decided, through the client of Google's API."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from bot.adapters.sheets.cells import COLUMNS
from bot.adapters.sqlite.store import SqliteStore
from bot.sandbox.server import SandboxServer
from tests.bot.helpers.blind_songs import VERSIONS, add_blind_song, decide, told
from tests.bot.helpers.sandbox_clients import open_book
from tests.bot.helpers.sheets_board import fields_of, open_board
from tests.bot.helpers.table_board import PatientClock, fill, passes

Shown = Callable[[], list[tuple[str, str]]]


@pytest.fixture
def run(store: SqliteStore, sandbox: SandboxServer) -> Callable[[], object]:
    return passes(open_board(sandbox), store, PatientClock())


@pytest.fixture
def shown(sandbox: SandboxServer) -> Shown:
    return lambda: [(row.get("variant", ""), row.get("score", "")) for row in fields_of(sandbox)]


def test_no_cell_tells_a_version_before_the_song_is_decided(
    store: SqliteStore, sandbox: SandboxServer, run: Callable[[], object], shown: Shown
) -> None:
    first, second = add_blind_song(store, "AB")
    run()
    assert sandbox.control.sheet("queue")[0] == list(COLUMNS)
    sandbox.control.edit("queue", first, "status", "accepted")
    run()
    assert shown() == [("", "")] * 2
    assert told(json.dumps(sandbox.control.sheet("queue"))) == []
    sandbox.control.edit("queue", second, "status", "rejected")
    run()
    assert [variant for variant, _ in shown()] == [f"lcgan {VERSIONS['A']}", f"lcgan {VERSIONS['B']}"]
    assert [round(float(score), 3) for _, score in shown()] == [-1.094, -1.074]
    assert [row["status"] for row in fields_of(sandbox)] == ["accepted", "rejected"]


@pytest.mark.slow
def test_an_undo_on_the_sheet_empties_the_cells_and_other_rows_stay(
    store: SqliteStore, sandbox: SandboxServer, run: Callable[[], object], shown: Shown
) -> None:
    fill(store, 1)
    song = add_blind_song(store, "AB")
    run()
    decide(store, *song)
    run()
    assert all(variant for variant, _ in shown())
    sandbox.control.edit("queue", song[1], "status", "waiting")
    run()
    assert shown() == [("m 1", "")] + [("", "")] * 2
    assert told(json.dumps(sandbox.control.sheet("queue"))) == []


@pytest.mark.slow
def test_a_sheet_without_the_columns_is_left_without_them(
    store: SqliteStore, sandbox: SandboxServer, run: Callable[[], object]
) -> None:
    run()
    sheet = open_book(sandbox).worksheet("queue")
    header = [name for name in COLUMNS if name not in {"variant", "score"}]
    sheet.update([[*header, "", ""]], "A1", raw=True)
    decide_all = add_blind_song(store, "AB")
    run()
    decide(store, *decide_all)
    run()
    assert [row["status"] for row in fields_of(sandbox)] == ["accepted"] * 2
    assert told(json.dumps(sandbox.control.sheet("queue"))) == []
