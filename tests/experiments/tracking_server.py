"""`mlflow server` with the settings that the project ships, for tests of experiments."""

from __future__ import annotations

import os
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.error import URLError

from tests.serving.support import wait_until

SETTINGS = Path(__file__).parents[2] / "mlflow" / "server.env"


def _is_healthy(address: str) -> bool:
    try:
        with urllib.request.urlopen(f"{address}/health", timeout=2) as answer:  # noqa: S310 - our own loopback server
            return bool(answer.status == 200)
    except (URLError, TimeoutError, ConnectionError):
        return False


@contextmanager
def tracking_server(
    workspace: Path, port: int, *, host: str = "127.0.0.1", python: str = sys.executable, **variables: str
) -> Iterator[str]:
    """Serve the database and the artifacts of a folder that is called workspace; yields the address.

    Further variables of the environment may name other stores, for which another interpreter has the packages.
    """
    assert workspace.name == "workspace", "the settings name it so"
    lines = SETTINGS.read_text(encoding="utf-8").splitlines()
    settings = dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))
    settings |= {
        "MLFLOW_HOST": host,
        "MLFLOW_PORT": str(port),
        "MLFLOW_WORKERS": "1",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        **variables,
    }
    with (workspace.parent / "server.log").open("ab") as log:
        child = subprocess.Popen(
            [python, "-m", "mlflow", "server"],
            env={**os.environ, **settings},
            cwd=workspace.parent,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        try:
            wait_until(lambda: child.poll() is not None or _is_healthy(f"http://{host}:{port}"), timeout_s=90)
            assert child.poll() is None, (workspace.parent / "server.log").read_text()
            yield f"http://{host}:{port}"
        finally:
            with suppress(ProcessLookupError):  # it has ended by itself
                os.killpg(child.pid, 9)
            child.wait()
