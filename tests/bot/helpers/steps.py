"""Steps at which a process can be killed: statements to SQLite, and changes of the names of files."""

from __future__ import annotations

import sqlite3
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

_NAMES = frozenset({"os.rename", "os.link", "os.remove", "sqlite3.connect"})


def count_statements(tick: Callable[[str], None]) -> None:
    """Call a function before each statement to SQLite in this process."""
    connect = sqlite3.connect

    def counted(*arguments: Any, **options: Any) -> sqlite3.Connection:
        connection: sqlite3.Connection = connect(*arguments, **options)
        connection.set_trace_callback(lambda text: tick(f"before {text.split()[0]} in SQLite"))
        return connection

    sqlite3.connect = counted  # type: ignore[assignment] # with all of its signatures


def count_names(tick: Callable[[str], None], folder: Path) -> None:
    """Call a function before each change of a name in a folder, each database opened there, and each lock."""
    place = str(folder)

    def audit(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "fcntl.flock" or (event in _NAMES and place in str(arguments[0])):
            tick(f"before {event}")

    sys.addaudithook(audit)
