"""Connection to MLflow, and its faults in plain words.

MLflow is imported here and where archives are downloaded, on first use: the import takes seconds.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

from foundation.mlflow_faults import plain
from foundation.redaction import redacted
from serving.errors import RegistryError

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

_T = TypeVar("_T")
_SYSTEM_ERROR: Final = re.compile(r"\[Errno \d+\] [^\n:\[]*")
_ENVIRONMENT: Final = {
    # Nothing of this project uses the internet.
    "MLFLOW_DISABLE_TELEMETRY": "true",
    # The sync loop itself retries a registry that is down; by default MLflow would block for minutes.
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    # A bar for every file of every archive would fill the log of serve.
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
}


def open_client(tracking_uri: str) -> MlflowClient:
    """Return a client of a registry, `sqlite:///PATH` or the address of a tracking server.

    Raises:
        RegistryError: the database does not exist (MLflow would create an empty one without a word).
    """
    database = tracking_uri.partition("?")[0].removeprefix("sqlite:///")
    if tracking_uri.startswith("sqlite:///") and not Path(database).is_file():
        raise RegistryError(
            f"there is no registry at {redacted(tracking_uri)}: train a model first (`deephypebot train`), or "
            "name another with --tracking-uri or MLFLOW_TRACKING_URI"
        )
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    with translated("the registry cannot be used", tracking_uri):
        from mlflow.tracking import MlflowClient  # noqa: PLC0415 - takes seconds

        return MlflowClient(tracking_uri=tracking_uri, registry_uri=tracking_uri)


@contextlib.contextmanager
def translated(purpose: str, tracking_uri: str) -> Iterator[None]:
    """Translate every fault of the block.

    Raises:
        RegistryError: the block failed; the message says what for, where and why, in one line.
    """
    try:
        yield
    except RegistryError:
        raise
    # The exception depends on the store: MLflow's own, requests', SQLAlchemy's or an object store's. All of them mean
    # that the registry cannot be used now.
    except Exception as cause:  # noqa: BLE001 - it is raised again in our words
        # Some have many lines; the first says what happened.
        reason = next((line.strip() for line in str(cause).splitlines() if line.strip()), "")
        system = _SYSTEM_ERROR.search(str(cause))
        if system is not None and system.group() not in reason:  # such as a full disk, further down
            reason = f"{reason} ({system.group()})"
        told = plain(reason)
        named = f"{type(cause).__name__}: {told}" if told == redacted(reason) else told
        # The cause's own message may hold the password of the address, and a traceback would print it.
        raise RegistryError(f"{redacted(purpose)} ({redacted(tracking_uri)}): {named}") from None


def known(read: Callable[..., _T], *arguments: str) -> _T | None:
    """Return what MLflow has, or None if it does not exist."""
    from mlflow.exceptions import MlflowException  # noqa: PLC0415 - takes seconds

    try:
        return read(*arguments)
    except MlflowException as cause:
        if cause.error_code == "RESOURCE_DOES_NOT_EXIST":
            return None
        raise
