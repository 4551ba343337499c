"""Fixtures of posting: a clock that tests set, a store that reads it, and a file that answers like a network."""

from __future__ import annotations

from pathlib import Path

import pytest

from bot.adapters.sqlite.store import SqliteStore
from tests.bot.helpers.posting import Account
from tests.bot.helpers.set_clock import SetClock


@pytest.fixture
def clock() -> SetClock:
    return SetClock()


@pytest.fixture
def clocked(database: Path, clock: SetClock) -> SqliteStore:
    return SqliteStore(database, now=clock.now)


@pytest.fixture
def account(tmp_path: Path) -> Account:
    return Account(tmp_path / "posts.jsonl")
