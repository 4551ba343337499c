"""Fixtures of posting and of the board: clocks that tests set, and what answers like a network or like a board."""

from __future__ import annotations

from pathlib import Path

import pytest

from bot.adapters.sqlite.store import SqliteStore
from tests.bot.helpers.posting import Account
from tests.bot.helpers.set_clock import SetClock
from tests.bot.helpers.table_board import PatientClock, Run, TableBoard, fill, passes


@pytest.fixture
def clock() -> SetClock:
    return SetClock()


@pytest.fixture
def clocked(database: Path, clock: SetClock) -> SqliteStore:
    return SqliteStore(database, now=clock.now)


@pytest.fixture
def account(tmp_path: Path) -> Account:
    return Account(tmp_path / "posts.jsonl")


@pytest.fixture
def board() -> TableBoard:
    return TableBoard()


@pytest.fixture
def board_clock() -> PatientClock:
    return PatientClock()


@pytest.fixture
def run(store: SqliteStore, board: TableBoard, board_clock: PatientClock) -> Run:
    """One pass of the board."""
    return passes(board, store, board_clock)


@pytest.fixture
def name(store: SqliteStore, run: Run) -> str:
    """A candidate that waits on the board."""
    (name,) = fill(store, 1)
    run()
    return name
