"""The state of a restore in SQLite, for everything that shows it; `restored` records it."""

from __future__ import annotations

from datetime import datetime

from typing_extensions import override

from bot.adapters.sqlite.file import SqliteFile
from bot.ports import Restored, RestoreState

RESTORED = "restored"
LOOKED = "restored looked at "
BOARD_READ = "restored board read"
TRUSTED = "restored trusted"
SETTLED = "restored settled"
COMPARED = "restored compared"


class SqliteRestoreState(SqliteFile, RestoreState):
    """State of a restore on the bot's database."""

    @override
    def restored(self) -> Restored | None:
        notes = {
            row["key"]: row
            for row in self._read(
                "SELECT key, value, updated_at FROM note WHERE key = ? OR substr(key, 1, 9) = 'restored '", (RESTORED,)
            )
        }
        if RESTORED not in notes:
            return None
        return Restored(
            at=notes[RESTORED]["updated_at"],
            since=datetime.fromisoformat(notes[RESTORED]["value"]),
            looked=frozenset(key.removeprefix(LOOKED) for key in notes if key.startswith(LOOKED)),
            board_read=BOARD_READ in notes,
            trusted=TRUSTED in notes,
            settled=SETTLED in notes,
            compared=int(notes[COMPARED]["value"]) if COMPARED in notes else 0,
            unread=int(self._read("SELECT COUNT(*) FROM own_post WHERE is_unread")[0][0]),
        )
