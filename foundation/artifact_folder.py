"""Artifacts of an MLflow database that no server manages: a folder beside it, whatever its path.

MLflow keeps the place of artifacts with every run and model. In such a database it is the URI that a server would keep,
`mlflow-artifacts:/RUN/artifacts`, which names no folder: a workspace may be moved, copied, or put behind a server.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

ARTIFACTS_ROOT: Final = "mlflow-artifacts:/"
_FOLDER: Final = "mlartifacts"
"""Name of the folder; `mlflow server` and `mlflow ui` look for artifacts there, in their working folder."""
_SQLITE: Final = re.compile(r"sqlite(?:\+\w+)?:///(?P<path>[^?]+)(?:\?.*)?")


def database_file(tracking_uri: str) -> Path | None:
    """Return the file of an SQLite tracking URI; None for a server or another database.

    >>> database_file("sqlite:////srv/workspace/mlflow.db").as_posix(), database_file("http://127.0.0.1:5000")
    ('/srv/workspace/mlflow.db', None)
    """
    found = _SQLITE.fullmatch(tracking_uri)
    return Path(found["path"]).absolute() if found else None


def artifact_folder(tracking_uri: str) -> Path | None:
    """Return the folder of artifacts beside an SQLite database; None for a server or another database."""
    database = database_file(tracking_uri)
    return None if database is None else database.parent / _FOLDER


def artifact_path(uri: str, tracking_uri: str) -> Path | None:
    """Return the place of an artifact beside the database; None if it is elsewhere.

    An earlier release kept absolute paths of the folder. They count as well, since the folder may have moved meanwhile.

    Args:
        uri: URI of an artifact or of a folder of artifacts, as the database has it.
        tracking_uri: tracking URI of the database.

    >>> artifact_path("mlflow-artifacts:/8f/artifacts", "sqlite:////srv/w/mlflow.db").as_posix()
    '/srv/w/mlartifacts/8f/artifacts'
    >>> artifact_path("file:///old/mlartifacts/8f/artifacts", "sqlite:////srv/w/mlflow.db").as_posix()
    '/srv/w/mlartifacts/8f/artifacts'
    """
    folder = artifact_folder(tracking_uri)
    parts = urlsplit(uri)
    if folder is None or parts.netloc:
        return None
    if parts.scheme == "mlflow-artifacts":
        names = parts.path.split("/")
    elif parts.scheme in ("", "file") and f"/{_FOLDER}/" in f"{parts.path}/":
        names = unquote(parts.path if parts.scheme else uri).rpartition(f"/{_FOLDER}")[2].split("/")
    else:
        return None
    return None if ".." in names else folder.joinpath(*filter(None, names))
