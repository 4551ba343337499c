"""A backup is one whole file, made while others write; anything else is a clear error."""

from __future__ import annotations

import os
import resource
import signal
import sqlite3
import stat
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from bot.adapters.sqlite.backup import back_up
from bot.adapters.sqlite.migrations import MIGRATIONS
from bot.adapters.sqlite.schema import APPLICATION_ID
from bot.adapters.sqlite.store import SqliteStore
from bot.domain.errors import InputError, StoreError
from bot.domain.odd_items import OddItem
from bot.ports import FeedPage
from tests.bot.helpers.table_board import fill


@contextmanager
def full_disk(room: int = 0) -> Iterator[None]:
    """No file of this process may grow beyond a size: the system refuses to write, as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


def dump(path: Path) -> list[str]:
    with closing(sqlite3.connect(path)) as connection:
        return [line for line in connection.iterdump() if '"note"' not in line]


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


@pytest.fixture
def target(tmp_path: Path) -> Path:
    folder = tmp_path / "backups"
    folder.mkdir()
    return folder / "bot.db"


def test_a_backup_holds_everything_in_one_private_file_while_the_database_is_open(
    store: SqliteStore, database: Path, target: Path
) -> None:
    fill(store, 3)
    odd = OddItem(key="7", reason="odd", excerpt="?")
    store.add_page("feed", FeedPage(source_posts=(), cursor="line 7", more=False, odd_items=(odd,)))
    contents = back_up(database, target)
    assert (contents.schema, contents.counts["song"], contents.counts["candidate"]) == (len(MIGRATIONS), 1, 3)
    assert names(target.parent) == {"bot.db"}
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    fill(store, 1, source_post="2")  # the database is still the same one, and can be written
    with SqliteStore(target) as copy:
        assert copy.cursor("feed") == "line 7"
        assert copy.state().odd_items == {"feed": 1}
        assert len(list(copy.rows())) == 3


def test_backups_made_while_another_program_writes_are_each_one_moment(
    store: SqliteStore, database: Path, target: Path
) -> None:
    fill(store, 5, source_post="post 0")
    done = threading.Event()

    def write() -> None:
        with SqliteStore(database) as other:
            number = 0
            while not done.is_set():
                number += 1
                fill(other, 5, source_post=f"post {number}")

    writer = threading.Thread(target=write)
    writer.start()
    try:
        songs = 0
        while songs < 20:
            counts = back_up(database, target, overwrite=True).counts
            # A source post's candidates are committed together.
            assert counts["candidate"] == 5 * counts["song"]
            assert counts["song"] >= songs
            songs = counts["song"]
    finally:
        done.set()
        writer.join()


def test_an_earlier_backup_is_replaced_only_if_that_is_asked_for(
    store: SqliteStore, database: Path, target: Path
) -> None:
    fill(store, 1)
    back_up(database, target)
    with pytest.raises(InputError, match="--overwrite"):
        back_up(database, target)
    fill(store, 1, source_post="2")
    assert back_up(database, target, overwrite=True).counts["song"] == 2


@pytest.mark.parametrize("name", ["-", "bot.db", "bot.db-wal", "bot.db.lock"])
def test_standard_output_and_the_databases_own_files_are_no_targets(
    store: SqliteStore, database: Path, name: str
) -> None:
    fill(store, 1)
    with pytest.raises(InputError, match=r"name (another file|one instead)"):
        back_up(database, Path("-") if name == "-" else database.with_name(name), overwrite=True)
    assert len(list(store.rows())) == 1


def test_folders_and_missing_folders_and_databases_are_named(store: SqliteStore, database: Path, target: Path) -> None:
    fill(store, 1)
    with pytest.raises(InputError, match="is a folder"):
        back_up(database, target.parent)
    with pytest.raises(InputError, match="elsewhere does not exist; create it"):
        back_up(database, target.parent / "elsewhere" / "bot.db")
    with pytest.raises(StoreError, match="nothing to back up"):
        back_up(database.with_name("other.db"), target)
    assert names(target.parent) == set()


def test_devices_are_left_and_links_are_written_through(
    store: SqliteStore, database: Path, target: Path, tmp_path: Path
) -> None:
    fill(store, 1)
    pipe, link = tmp_path / "pipe", tmp_path / "link.db"
    os.mkfifo(pipe)
    with pytest.raises(InputError, match="not a regular file"):
        back_up(database, pipe, overwrite=True)
    assert pipe.is_fifo()
    link.symlink_to(target)
    back_up(database, link)
    assert (link.is_symlink(), target.is_file()) == (True, True)


@pytest.mark.parametrize("room", [0, 100_000])
def test_a_full_disk_is_said_and_leaves_the_earlier_backup(
    store: SqliteStore, database: Path, target: Path, room: int
) -> None:
    fill(store, 1)
    back_up(database, target)
    before = dump(target)
    fill(store, 200, source_post="2")
    with full_disk(room), pytest.raises(StoreError, match=r"cannot be written: .*make room"):
        back_up(database, target, overwrite=True)
    assert names(target.parent) == {"bot.db"}
    assert dump(target) == before


def test_a_damaged_database_gives_no_backup(store: SqliteStore, database: Path, target: Path) -> None:
    fill(store, 200)
    store.close()
    with database.open("r+b") as file:
        file.seek(8 * 4096)
        file.write(b"\xff" * 12 * 4096)
    with pytest.raises(StoreError, match="is damaged"):
        back_up(database, target)
    assert names(target.parent) == set()


def test_what_a_killed_backup_left_is_replaced(store: SqliteStore, database: Path, target: Path) -> None:
    fill(store, 1)
    for name in (".bot.db.partial", ".bot.db.partial-journal", ".bot.db.partial-wal"):
        (target.parent / name).write_bytes(b"left" * 5000)
    back_up(database, target)
    assert names(target.parent) == {"bot.db"}


def test_a_database_of_an_earlier_version_is_backed_up_as_it_is(tmp_path: Path, target: Path) -> None:
    old = tmp_path / "bot.db"
    with closing(sqlite3.connect(old)) as connection:
        connection.executescript((Path(__file__).parent / "version_3.sql").read_text(encoding="utf-8"))
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute("PRAGMA user_version = 3")
    assert back_up(old, target).schema == 3
    with closing(sqlite3.connect(old)) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (3,)
