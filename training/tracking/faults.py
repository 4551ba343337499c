"""Errors of MLflow and of what it stands on, as one line with the way out."""

from __future__ import annotations

import functools
import inspect
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final, TypeVar

from alembic.util.exc import CommandError
from mlflow.exceptions import MlflowException
from sqlalchemy.exc import SQLAlchemyError

from foundation.mlflow_faults import plain
from foundation.redaction import redacted
from training.errors import TrackingError

FAULTS: Final = (MlflowException, SQLAlchemyError, CommandError, ImportError, OSError)
"""MLflow does not wrap the errors of a database, its migrations or a missing driver; those of requests are OSErrors."""

_INACTIVE_RUN: Final = re.compile(r"run (?:with ID )?'?(?P<id>[0-9a-f]{32})'?.*\bdeleted\b", re.IGNORECASE)
_INACTIVE_EXPERIMENT: Final = re.compile(r"experiment '?(?P<id>\d+)'? must be in the 'active' state", re.IGNORECASE)

_Class = TypeVar("_Class", bound=type)


def translating(kind: _Class) -> _Class:
    """Decorate a class with an MLflow client, so that its public methods raise `TrackingError`.

    Context managers are left out, since errors of their blocks are not MLflow's.
    """
    for name, method in list(vars(kind).items()):
        if not name.startswith("_") and inspect.isfunction(method) and not hasattr(method, "__wrapped__"):
            setattr(kind, name, _translating(method))
    return kind


def _translating(method: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(method)
    def call(self: Any, *arguments: Any, **named: Any) -> Any:
        with translated(self._client.tracking_uri):
            return method(self, *arguments, **named)

    return call


@contextmanager
def translated(uri: str, purpose: str = "") -> Iterator[None]:
    """Turn what MLflow raises within the block into a `TrackingError`.

    Args:
        uri: tracking URI, for the message.
        purpose: what could not be done; by default that MLflow cannot be used.

    Raises:
        TrackingError: MLflow refused a call, or could not be reached.
    """
    try:
        yield
    except FAULTS as cause:
        shown = redacted(uri)
        told = redacted(purpose) or f"MLflow at {shown} cannot be used"
        raise TrackingError(f"{told}: {reason(cause, shown)}") from cause


def reason(cause: BaseException, uri: str) -> str:
    """Return the first line of an error, and the way out where there is one."""
    line = next((line.strip() for line in str(cause).splitlines() if line.strip()), type(cause).__name__)
    line = plain(line.replace("<database_uri>", uri))
    if found := _INACTIVE_EXPERIMENT.search(line):
        return f"experiment {found['id']} is deleted; {restore(uri, 'experiments', found['id'])}"
    if found := _INACTIVE_RUN.search(line):
        return f"run {found['id']} is deleted; {restore(uri, 'runs', found['id'])}"
    if isinstance(cause, ModuleNotFoundError):
        return f"{line}; install the database's driver: pip install {cause.name}"
    if isinstance(cause, CommandError):
        return (
            f"{line}; another process may be making its tables, so try again, or another release of MLflow made the "
            f"database: `mlflow db upgrade {uri}`"
        )
    return line


def restore(uri: str, kind: str, number: str) -> str:
    """Return advice to restore a deleted experiment or run.

    >>> restore("sqlite:///mlflow.db", "runs", "8f")
    'restore it: `MLFLOW_TRACKING_URI=sqlite:///mlflow.db mlflow runs restore --run-id 8f`'
    """
    option = {"experiments": "--experiment-id", "runs": "--run-id"}[kind]
    return f"restore it: `MLFLOW_TRACKING_URI={uri} mlflow {kind} restore {option} {number}`"
