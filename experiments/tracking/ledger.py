"""Ledger of what MLflow should have and what it has, in a file of the workspace.

Everything is written before it is sent. A trace waits from the commit that records its new state to the one that
records that MLflow has it. After a kill in between it is sent again, which changes nothing in MLflow.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from fcntl import LOCK_EX, flock
from hashlib import sha256
from itertools import islice
from pathlib import Path
from typing import Final, Self

from bot.adapters.sqlite.schema import mode_in
from experiments.errors import ExperimentError
from experiments.tracking.traces import SongTrace

_SCHEMA_VERSION: Final = 1
_SCHEMA: Final = (
    """
CREATE TABLE trace (
    id TEXT PRIMARY KEY,
    model TEXT NOT NULL,
    version TEXT NOT NULL,
    wanted TEXT NOT NULL,      -- hash of the state that MLflow should have
    document TEXT,             -- that state, while MLflow may not have it; NULL afterwards
    known TEXT NOT NULL,       -- ids of the feedback that MLflow may have, JSON
    refused TEXT NOT NULL DEFAULT '',  -- reason why MLflow does not take the state; empty if it was not refused
    judged INTEGER NOT NULL DEFAULT 0,  -- counts of the state that MLflow has
    accepted INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID
""",
    "CREATE INDEX waiting ON trace (model, version) WHERE document IS NOT NULL",
    """
CREATE TABLE figures (
    model TEXT NOT NULL,
    version TEXT NOT NULL,
    step INTEGER NOT NULL,
    time_ms INTEGER NOT NULL,
    judged INTEGER NOT NULL,
    accepted INTEGER NOT NULL,
    is_logged INTEGER NOT NULL,
    PRIMARY KEY (model, version)
) WITHOUT ROWID
""",
    "CREATE TABLE fact (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID",
)
_CHUNK: Final = 500
"""Songs that are recorded in one transaction."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitingTrace:
    """A trace whose state MLflow may not have."""

    trace_id: str
    trace: SongTrace | None
    """The state; None if no sample of it is judged any more."""
    wanted: str
    """Hash of the state."""
    dropped: tuple[str, ...]
    """Ids of feedback that MLflow may have and should not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionFigures:
    """Counts of a version's verdicts at one moment."""

    model: str
    version: str
    judged: int
    accepted: int
    step: int = 0
    """Number of the change, from 1; 0 if none was recorded yet."""
    time_ms: int = 0
    """Time of the change, in milliseconds since 1970."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Absence:
    """Time for which MLflow has been away."""

    since: datetime
    reason: str


class Ledger:
    """Ledger in an SQLite file. One process at a time uses it; others wait until it is closed.

    Args:
        path: the file; it is made if it does not exist.

    Raises:
        ExperimentError: the file cannot be used, or is of a newer release; also raised by every method.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        with self._told():
            path.parent.mkdir(parents=True, exist_ok=True)
            # SQLite and a lock of 0600 would shut out the rest of the group, which may write into the folder.
            mode = mode_in(path.parent)
            path.touch(mode=mode)
            self._lock = os.open(path.with_suffix(".lock"), os.O_CREAT | os.O_RDWR, mode)
        try:
            with self._told():
                flock(self._lock, LOCK_EX)
                self._connection = sqlite3.connect(path, isolation_level=None)
                self._connection.row_factory = sqlite3.Row
                for pragma in ("journal_mode = WAL", "synchronous = FULL", "temp_store = MEMORY"):
                    self._connection.execute(f"PRAGMA {pragma}")
            self._migrate()
        except BaseException:
            os.close(self._lock)
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file and let others use it."""
        self._connection.close()
        os.close(self._lock)

    def aim(self, target: str, *, logged: Callable[[], list[VersionFigures]]) -> None:
        """Name the place that the ledger is about. What is known of another place is forgotten.

        Args:
            target: text that tells the place from others.
            logged: asked for a new place; returns the figures that a ledger which was lost had logged there.
        """
        known = self._fact("target")
        if known == target:
            return
        figures = logged()
        with self._writing() as connection:
            if known:
                # All states count as waiting again. The new place has none of them, or has them under the same ids.
                for table in ("trace", "figures", "fact"):
                    connection.execute(f"DELETE FROM {table}")  # noqa: S608 -- constants
            _set_fact(connection, "target", target)
            _set_fact(connection, "recovering", "yes" if figures else "")
            for one in figures:
                _set_figures(connection, one, is_logged=True)

    def record(self, traces: Iterable[SongTrace]) -> int:
        """Record the states of all traces of a store; return the number of those that changed.

        Traces that do not come any more lose their feedback, as after the restore of an older backup.
        """
        changed = 0
        recovering = bool(self._fact("recovering"))
        with self._writing() as connection:
            connection.execute("CREATE TEMP TABLE IF NOT EXISTS seen (id TEXT PRIMARY KEY) WITHOUT ROWID")
            connection.execute("DELETE FROM seen")
        for chunk in _chunks(traces):
            with self._writing() as connection:
                changed += sum(_record(connection, trace, recovering=recovering) for trace in chunk)
        with self._writing() as connection:
            gone = connection.execute(
                "UPDATE trace SET wanted = '', document = '', refused = ''"
                " WHERE wanted <> '' AND id NOT IN (SELECT id FROM seen)"
            )
            _set_fact(connection, "recovering", "")
        return changed + gone.rowcount

    def waiting_versions(self) -> dict[tuple[str, str], int]:
        """Return models and versions with traces that wait and were not refused, and the number of these."""
        rows = self._read(
            "SELECT model, version, COUNT(*) AS number FROM trace WHERE document IS NOT NULL AND refused = ''"
            " GROUP BY model, version ORDER BY model, version"
        )
        return {(row["model"], row["version"]): row["number"] for row in rows}

    def waiting(self, model: str, version: str, limit: int) -> list[WaitingTrace]:
        """Return traces of a version that wait and were not refused."""
        rows = self._read(
            "SELECT id, wanted, document, known FROM trace"
            " WHERE document IS NOT NULL AND refused = '' AND model = ? AND version = ? LIMIT ?",
            (model, version, limit),
        )
        return [_waiting(row) for row in rows]

    def settle(self, sent: Iterable[WaitingTrace]) -> None:
        """Record that MLflow has the states of traces."""
        with self._writing() as connection:
            for one in sent:
                if one.trace is None:
                    connection.execute("DELETE FROM trace WHERE id = ? AND wanted = ''", (one.trace_id,))
                    continue
                connection.execute(
                    "UPDATE trace SET document = NULL, known = ?, judged = ?, accepted = ? WHERE id = ? AND wanted = ?",
                    (json.dumps(_ids(one.trace)), len(one.trace.spans), one.trace.accepted, one.trace_id, one.wanted),
                )

    def refuse(self, one: WaitingTrace, reason: str) -> None:
        """Record that MLflow does not take the state of a trace. It is sent again when it changes."""
        with self._writing() as connection:
            connection.execute(
                "UPDATE trace SET refused = ? WHERE id = ? AND wanted = ?", (reason, one.trace_id, one.wanted)
            )

    def refused(self) -> tuple[int, str]:
        """Return the number of traces that MLflow refused, and the reason of one of them."""
        row = self._read("SELECT COUNT(*) AS number, MAX(refused) AS reason FROM trace WHERE refused <> ''")[0]
        return row["number"], row["reason"] or ""

    def changed_figures(self) -> list[VersionFigures]:
        """Return the counts of the versions for which they are not the last ones that were recorded.

        The counts are those of the states that MLflow has.
        """
        rows = self._read(_CHANGED)
        return [VersionFigures(**dict(row)) for row in rows]

    def record_figures(self, figures: VersionFigures) -> None:
        """Record counts before they are logged."""
        with self._writing() as connection:
            _set_figures(connection, figures, is_logged=False)

    def unlogged_figures(self) -> list[VersionFigures]:
        """Return the counts that MLflow may not have."""
        rows = self._read(
            "SELECT model, version, judged, accepted, step, time_ms FROM figures WHERE NOT is_logged"
            " ORDER BY model, version"
        )
        return [VersionFigures(**dict(row)) for row in rows]

    def settle_figures(self, figures: VersionFigures) -> None:
        """Record that MLflow has the counts of a version."""
        with self._writing() as connection:
            connection.execute(
                "UPDATE figures SET is_logged = 1 WHERE model = ? AND version = ? AND step = ?",
                (figures.model, figures.version, figures.step),
            )

    def set_absence(self, now: datetime, reason: str) -> Absence:
        """Record that MLflow is away, and return since when."""
        since = self._fact("away_since") or now.astimezone(UTC).isoformat(timespec="seconds")
        with self._writing() as connection:
            _set_fact(connection, "away_since", since)
        return Absence(since=datetime.fromisoformat(since), reason=reason)

    def end_absence(self) -> None:
        """Record that MLflow answers."""
        if self._fact("away_since"):
            with self._writing() as connection:
                _set_fact(connection, "away_since", "")

    def _fact(self, name: str) -> str:
        rows = self._read("SELECT value FROM fact WHERE name = ?", (name,))
        return str(rows[0]["value"]) if rows else ""

    def _migrate(self) -> None:
        version = self._read("PRAGMA user_version")[0][0]
        if version > _SCHEMA_VERSION:
            raise ExperimentError(f"{self._path} was written by a newer deephypebot; upgrade this one")
        if version < _SCHEMA_VERSION:
            with self._writing() as connection:
                for statement in _SCHEMA:
                    connection.execute(statement)
                connection.execute(f"PRAGMA user_version = {_SCHEMA_VERSION}")

    def _read(self, statement: str, values: tuple[object, ...] = ()) -> list[sqlite3.Row]:
        with self._told():
            return self._connection.execute(statement, values).fetchall()

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        with self._told():
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except (OSError, sqlite3.Error) as cause:
            raise ExperimentError(
                f"the ledger {self._path} cannot be used: {cause}; if it is damaged, remove it:"
                " the next sync writes a new one, and MLflow keeps one trace of each song"
            ) from cause


_CHANGED: Final = """
WITH counted AS (SELECT model, version, SUM(judged) AS judged, SUM(accepted) AS accepted FROM trace GROUP BY 1, 2
    UNION ALL SELECT model, version, 0, 0 FROM figures WHERE (model, version) NOT IN (SELECT model, version FROM trace))
SELECT counted.model, counted.version, counted.judged, counted.accepted, COALESCE(figures.step, 0) AS step,
    COALESCE(figures.time_ms, 0) AS time_ms
FROM counted LEFT JOIN figures ON figures.model = counted.model AND figures.version = counted.version
WHERE counted.judged <> COALESCE(figures.judged, 0) OR counted.accepted <> COALESCE(figures.accepted, 0)
ORDER BY 1, 2
"""


def _record(connection: sqlite3.Connection, trace: SongTrace, *, recovering: bool) -> bool:
    """Within a transaction: record the state of a trace; whether it changed.

    After the loss of a ledger, MLflow may have feedback on any sample, also on one whose verdict was undone since.
    """
    connection.execute("INSERT OR IGNORE INTO seen VALUES (?)", (trace.trace_id,))
    document = trace.to_json() if trace.spans else ""
    wanted = sha256(document.encode("utf-8", "surrogatepass")).hexdigest() if document else ""
    row = connection.execute("SELECT wanted, known FROM trace WHERE id = ?", (trace.trace_id,)).fetchone()
    may_have = trace.feedback_ids if recovering else _ids(trace)
    if row is None:
        if may_have:
            connection.execute(
                "INSERT INTO trace (id, model, version, wanted, document, known) VALUES (?, ?, ?, ?, ?, ?)",
                (trace.trace_id, trace.model, trace.version, wanted, document, json.dumps(may_have)),
            )
        return bool(may_have)
    if row["wanted"] == wanted and not recovering:
        return False
    known = sorted({*json.loads(row["known"]), *may_have})
    connection.execute(
        "UPDATE trace SET wanted = ?, document = ?, known = ?, refused = '' WHERE id = ?",
        (wanted, document, json.dumps(known), trace.trace_id),
    )
    return True


def _waiting(row: sqlite3.Row) -> WaitingTrace:
    trace = SongTrace.from_json(row["document"]) if row["document"] else None
    wanted_ids = set(_ids(trace)) if trace else set()
    return WaitingTrace(
        trace_id=row["id"],
        trace=trace,
        wanted=row["wanted"],
        dropped=tuple(name for name in json.loads(row["known"]) if name not in wanted_ids),
    )


def _ids(trace: SongTrace) -> tuple[str, ...]:
    return tuple(span.assessment_id for span in trace.spans)


def _set_figures(connection: sqlite3.Connection, figures: VersionFigures, *, is_logged: bool) -> None:
    connection.execute(
        "INSERT OR REPLACE INTO figures (model, version, step, time_ms, judged, accepted, is_logged)"
        " VALUES (:model, :version, :step, :time_ms, :judged, :accepted, :is_logged)",
        {**asdict(figures), "is_logged": is_logged},
    )


def _set_fact(connection: sqlite3.Connection, name: str, value: str) -> None:
    connection.execute("INSERT OR REPLACE INTO fact VALUES (?, ?)", (name, value))


def _chunks(traces: Iterable[SongTrace]) -> Iterator[list[SongTrace]]:
    rest = iter(traces)
    while chunk := list(islice(rest, _CHUNK)):
        yield chunk
