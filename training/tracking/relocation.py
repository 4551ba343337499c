"""Places of artifacts in a local MLflow database, made independent of its path.

Earlier releases, and `mlflow run`, wrote absolute paths. Where a workspace was moved or copied, they name a folder that
is gone, or that of the original.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

from foundation.artifact_folder import ARTIFACTS_ROOT, artifact_folder, database_file

# Tables with places of artifacts, and the columns that hold them.
_PLACES: Final = (
    ("runs", "artifact_uri"),
    ("logged_models", "artifact_location"),
    ("model_versions", "storage_location"),
)


def relocate(tracking_uri: str, experiment_id: str) -> int:
    """Rewrite the absolute places below an experiment's, in one transaction.

    A place stays as it is if its files are there and not beside the database: they were never moved.

    Args:
        tracking_uri: tracking URI of MLflow; nothing is done for a server or another database.
        experiment_id: experiment whose location decides which places are rewritten.

    Returns:
        Number of places that were rewritten.
    """
    database, folder = database_file(tracking_uri), artifact_folder(tracking_uri)
    if database is None or folder is None:
        return 0
    with closing(sqlite3.connect(database, timeout=60)) as connection, connection:
        select = "SELECT artifact_location FROM experiments WHERE experiment_id = ?"
        ((location,),) = connection.execute(select, (experiment_id,)).fetchall()
        origin = _path(location)
        if origin is None:
            return 0
        connection.execute("BEGIN IMMEDIATE")
        changed = sum(_rewrite(connection, table, column, location, folder) for table, column in _PLACES)
        if changed or origin == folder or not origin.exists():
            update = "UPDATE experiments SET artifact_location = ? WHERE experiment_id = ?"
            changed += connection.execute(update, (ARTIFACTS_ROOT, experiment_id)).rowcount
        return changed


def _rewrite(connection: sqlite3.Connection, table: str, column: str, location: str, folder: Path) -> int:
    select = f"SELECT DISTINCT {column} FROM {table} WHERE substr({column}, 1, ?) = ?"  # noqa: S608 - names above
    update = f"UPDATE {table} SET {column} = ? WHERE {column} = ?"  # noqa: S608
    changed = 0
    prefix = location.rstrip("/") + "/"
    for (place,) in connection.execute(select, (len(prefix), prefix)).fetchall():
        rest = str(place).removeprefix(prefix)
        here, there = folder / unquote(rest), _path(place)
        if here.exists() or here == there or there is None or not there.exists():
            changed += connection.execute(update, (ARTIFACTS_ROOT + rest, place)).rowcount
    return changed


def _path(location: str) -> Path | None:
    """Return the folder of a place on this machine; None for another store."""
    parts = urlsplit(location)
    if parts.scheme == "file":
        return Path(unquote(parts.path))
    return Path(location) if parts.scheme == "" and location.startswith("/") else None
