"""A restored backup takes the database's place whole, alone, and keeps what was there."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from bot.adapters.sqlite.backup import back_up
from bot.adapters.sqlite.desk import SqliteDesk
from bot.adapters.sqlite.lock import alone
from bot.adapters.sqlite.memory import SqliteMemory
from bot.adapters.sqlite.migrations import MIGRATIONS
from bot.adapters.sqlite.restore import restore
from bot.adapters.sqlite.schema import APPLICATION_ID
from bot.adapters.sqlite.store import SqliteStore
from bot.domain.errors import InputError, StoreError
from tests.bot.helpers.table_board import fill


@pytest.fixture
def copy(database: Path, tmp_path: Path) -> Path:
    """A backup of a database with two candidates, which has four now."""
    path = tmp_path / "copy.db"
    with SqliteStore(database) as store:
        fill(store, 2)
        back_up(database, path)
        fill(store, 2, source_post="2")
    return path


def candidates(path: Path) -> int:
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        return int(connection.execute("SELECT COUNT(*) FROM candidate").fetchone()[0])


def test_the_backup_takes_the_databases_place_and_what_was_there_is_kept(copy: Path, database: Path) -> None:
    restored = restore(copy, database)
    assert restored.contents.counts["candidate"] == 2
    assert restored.kept is not None
    assert (candidates(database), candidates(restored.kept)) == (2, 4)
    assert sorted(path.name for path in database.parent.iterdir()) == sorted(
        [restored.kept.name, "bot.db", "bot.db.lock"]
    )
    with SqliteStore(database) as store:
        state = store.restored()
    assert state is not None
    assert (state.settled, state.looked) == (False, frozenset())


def test_a_database_that_was_never_restored_waits_for_nothing(store: SqliteStore) -> None:
    assert store.restored() is None


def test_a_backup_is_restored_where_there_is_no_database(copy: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere" / "bot.db"
    assert restore(copy, elsewhere).kept is None
    assert candidates(elsewhere) == 2


@pytest.mark.parametrize("kind", [SqliteStore, SqliteDesk, SqliteMemory])
def test_nothing_is_restored_while_a_part_of_bot_or_studio_is_open(
    copy: Path, database: Path, kind: type[SqliteStore | SqliteDesk | SqliteMemory]
) -> None:
    with kind(database), pytest.raises(StoreError, match="stop it first"):
        restore(copy, database)
    assert candidates(database) == 4
    assert restore(copy, database).contents.counts["candidate"] == 2


PROGRAM = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1])
connection.execute("SELECT COUNT(*) FROM candidate").fetchone()
print("open", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def other_program(database: Path) -> Iterator[subprocess.Popen[str]]:
    """A program that knows nothing of the bot's lock, such as an earlier version, with the database open."""
    with SqliteStore(database) as store:
        fill(store, 4)
    command = [sys.executable, "-c", PROGRAM, str(database)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "open\n"
        yield process
        process.communicate("", timeout=20)


def test_nothing_is_restored_while_another_program_has_the_database_open(
    database: Path, other_program: subprocess.Popen[str], tmp_path: Path
) -> None:
    copy = tmp_path / "copy.db"
    back_up(database, copy)
    with pytest.raises(StoreError, match="another program is using"):
        restore(copy, database)
    other_program.communicate("", timeout=20)
    assert restore(copy, database).contents.counts["candidate"] == 4


def test_nothing_opens_the_database_while_it_is_restored(
    store: SqliteStore, database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.close()
    monkeypatch.setattr("bot.adapters.sqlite.lock._PATIENCE_S", 0.1)
    with alone(database), pytest.raises(StoreError, match="is being restored"):
        SqliteStore(database)


def test_a_log_that_a_killed_bot_left_is_not_applied_to_the_restored_database(
    copy: Path, database: Path, tmp_path: Path
) -> None:
    with SqliteStore(database) as store:
        fill(store, 3, source_post="3")
        # As after a SIGKILL: the files are there, and nobody has them open.
        killed = tmp_path / "killed"
        shutil.copytree(database.parent, killed)
    log = killed / "bot.db-wal"
    assert log.stat().st_size > 0
    restored = restore(copy, killed / "bot.db")
    assert restored.kept is not None
    assert (candidates(killed / "bot.db"), candidates(restored.kept)) == (2, 7)
    assert not log.exists()


def test_a_damaged_database_is_kept_with_its_log_and_replaced(copy: Path, database: Path) -> None:
    log = database.with_name("bot.db-wal")
    log.write_bytes(b"a log")
    database.write_bytes(b"no database any more" * 1000)
    restored = restore(copy, database)
    assert restored.kept is not None
    assert restored.kept.read_bytes().startswith(b"no database any more")
    assert restored.kept.with_name(restored.kept.name + "-wal").read_bytes() == b"a log"
    assert not log.exists()
    assert candidates(database) == 2


def test_a_backup_of_an_earlier_version_is_migrated(database: Path, tmp_path: Path) -> None:
    old = tmp_path / "old.db"
    with closing(sqlite3.connect(old)) as connection:
        connection.executescript((Path(__file__).parent / "version_3.sql").read_text(encoding="utf-8"))
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute("PRAGMA user_version = 3")
    before = restore(old, database).contents
    assert before.schema == 3
    with SqliteStore(database) as store:
        assert len(list(store.rows())) == before.counts["candidate"] > 0


@pytest.mark.parametrize(
    ("pragma", "value", "words"),
    [
        ("user_version", len(MIGRATIONS) + 1, "newer deephypebot .* upgrade this one"),
        ("application_id", APPLICATION_ID + 1, "is not a database of deephypebot"),
        ("application_id", 0, "is not a database of deephypebot"),
    ],
)
def test_files_of_newer_and_of_other_programs_are_refused(
    copy: Path, database: Path, pragma: str, value: int, words: str
) -> None:
    with closing(sqlite3.connect(copy)) as connection:
        connection.execute(f"PRAGMA {pragma} = {value}")
    with pytest.raises(InputError, match=words):
        restore(copy, database)
    assert candidates(database) == 4


def test_damaged_missing_and_strange_files_are_refused_and_change_nothing(
    copy: Path, database: Path, tmp_path: Path
) -> None:
    whole = copy.read_bytes()
    cut = tmp_path / "cut.db"
    cut.write_bytes(whole[: len(whole) // 2])
    holed = tmp_path / "holed.db"
    holed.write_bytes(whole[: 8 * 4096] + b"\xff" * 12 * 4096 + whole[20 * 4096 :])
    text = tmp_path / "text.db"
    text.write_text("certainly not a database, although it has this name\n" * 100)
    empty = tmp_path / "empty.db"
    empty.touch()
    for path in (cut, holed, text):
        with pytest.raises(StoreError, match="is damaged"):
            restore(path, database)
    for path, words in (
        (empty, "is not a database of deephypebot"),
        (tmp_path, "is a folder"),
        (tmp_path / "none.db", "does not exist"),
        (database, "belongs to the bot's database itself"),
        (Path("-"), "a backup is a file"),
    ):
        with pytest.raises(InputError, match=words):
            restore(path, database)
    assert candidates(database) == 4
    assert sorted(path.name for path in database.parent.iterdir()) == ["bot.db", "bot.db.lock"]


def test_a_restore_that_was_killed_is_finished_by_the_next_one(copy: Path, database: Path) -> None:
    for name in (".bot.db.restoring", ".bot.db.restoring-wal", ".bot.db.restoring-journal"):
        database.with_name(name).write_bytes(b"left" * 5000)
    first = restore(copy, database)
    second = restore(copy, database)
    assert first.kept is not None
    assert second.kept is not None
    assert first.kept != second.kept
    assert [candidates(path) for path in (first.kept, second.kept, database)] == [4, 2, 2]


def test_a_database_copied_with_its_log_is_restored_with_what_is_in_the_log(database: Path, tmp_path: Path) -> None:
    with SqliteStore(database) as store:
        fill(store, 3)
        raw = tmp_path / "raw"
        shutil.copytree(database.parent, raw)
    assert restore(raw / "bot.db", tmp_path / "new" / "bot.db").contents.counts["candidate"] == 3
