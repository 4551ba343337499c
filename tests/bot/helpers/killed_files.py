"""Kill a backup or a restore at every moment, look at what it left, repeat it, and print both.

Run as a program: `python -m tests.bot.helpers.killed_files FOLDER`. A fork of this process is killed before its n-th
step, or by the system in the middle of a write, when a file of it would grow beyond n pages. One JSON line per moment.
"""

from __future__ import annotations

import json
import os
import resource
import shutil
import signal
import sqlite3
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from functools import partial
from pathlib import Path

from bot.adapters.sqlite.backup import back_up
from bot.adapters.sqlite.restore import restore
from bot.adapters.sqlite.store import SqliteStore
from tests.bot.helpers.killed_bot import Countdown
from tests.bot.helpers.steps import count_names, count_statements
from tests.bot.helpers.table_board import fill

_PAGE = 4096
_EVERY = 5
"""Pages between two limits of the size."""


_WORK: Mapping[str, Callable[[Path, Path], object]] = {
    "backup": lambda database, copy: back_up(database, copy, overwrite=True),
    "restore": lambda database, copy: restore(copy, database),
}


def candidates(path: Path) -> int | None:
    """Number of candidates of a whole database; None if there is none."""
    if not path.exists():
        return None
    # Read as a bot does that starts after the kill, log and all.
    with closing(sqlite3.connect(path)) as connection:
        if connection.execute("PRAGMA integrity_check").fetchone() != ("ok",):
            raise SystemExit(f"{path} is damaged")
        return int(connection.execute("SELECT COUNT(*) FROM candidate").fetchone()[0])


def killed(work: Callable[[], object], folder: Path, *, step: int = 0, pages: int = 0) -> bool:
    """Do something in a process of its own that is killed at a step or at a size; whether it was."""
    child = os.fork()
    if child == 0:
        if step:
            countdown = Countdown(step)
            count_statements(countdown.tick)
            count_names(countdown.tick, folder)
        if pages:
            signal.signal(signal.SIGXFSZ, signal.SIG_DFL)  # Python turns it into an error of the write
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
            resource.setrlimit(resource.RLIMIT_FSIZE, (pages * _PAGE,) * 2)
        work()
        os._exit(0)
    _, status = os.waitpid(child, 0)
    if os.WIFEXITED(status) and os.WEXITSTATUS(status):
        raise SystemExit(f"it failed by itself at step {step}, {pages} pages")
    return os.WIFSIGNALED(status)


def template(folder: Path) -> Path:
    """A workspace as a killed bot leaves it, with a log, 400 candidates, and a backup of the first 200."""
    workspace = folder / "template"
    source = folder / "source" / "bot.db"
    workspace.mkdir(parents=True)
    with SqliteStore(source) as store:
        fill(store, 200)
        back_up(source, workspace / "copy.db")
        fill(store, 200, source_post="2")
        for path in source.parent.iterdir():
            shutil.copy(path, workspace / path.name)
    return workspace


def moments(what: str, folder: Path) -> Iterator[dict[str, object]]:
    clean = template(folder / what)
    for kind in ("step", "pages"):
        number, was_killed = 1, True
        while was_killed:
            workspace = folder / what / f"{kind}-{number}"
            shutil.copytree(clean, workspace)
            database, copy = workspace / "bot.db", workspace / "copy.db"
            work = partial(_WORK[what], database, copy)
            was_killed = killed(work, workspace, **{kind: number})
            before = candidates(database), candidates(copy)
            work()
            after = candidates(database), candidates(copy)
            left = sorted(path.name for path in workspace.iterdir() if path.name.startswith("."))
            yield {"what": what, kind: number, "killed": was_killed, "before": before, "after": after, "left": left}
            number += 1 if kind == "step" else _EVERY


def main(folder: Path) -> None:
    for what in ("backup", "restore"):
        for moment in moments(what, folder):
            sys.stdout.write(json.dumps(moment) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
