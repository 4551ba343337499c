"""PostgreSQL and an object store on this machine, each with a password of its own, for the length of a test.

PostgreSQL is that of the system's packages, run as an unprivileged user. The object store is nanio, a small server
of the S3 API with signed requests, which keeps buckets as folders.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import secrets
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.serving.support import free_port, wait_until

BUCKET = "mlflow"
PYTHON_VARIABLE = "DEEPHYPEBOT_STORES_PYTHON"
"""Variable with the interpreter that has the packages of servers; `make stores` sets it."""
_MAKE_BUCKET = (
    "import boto3, os; "
    "boto3.client('s3', endpoint_url=os.environ['MLFLOW_S3_ENDPOINT_URL']).create_bucket(Bucket={bucket!r})"
)


def python_of_servers() -> str:
    """Return the interpreter that has a driver for PostgreSQL, boto3 and nanio; the tests' own has none of them."""
    return os.environ[PYTHON_VARIABLE]


def why_not() -> str:
    """Return what is missing here; empty if nothing is."""
    if not os.environ.get(PYTHON_VARIABLE):
        return "there is no environment with a driver for PostgreSQL and an object store: run `make stores`"
    return "" if _postgres_programs() else "PostgreSQL is not installed: apt-get install postgresql"


def _postgres_programs() -> Path | None:
    """Return the folder of PostgreSQL's programs; Debian keeps those of the server off the path."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    on_path = shutil.which("initdb")
    return found[-1] if found else Path(on_path).resolve().parent if on_path else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Postgres:
    """A database server with an empty database."""

    uri: str
    password: str


@contextlib.contextmanager
def postgres() -> Iterator[Postgres]:
    """Run a database server on a free port of loopback, with a password that is asked for."""
    programs = _postgres_programs()
    assert programs is not None
    password, port = secrets.token_hex(12), free_port()
    as_user: Sequence[str] = ()
    with tempfile.TemporaryDirectory(prefix="postgres-", dir="/tmp", ignore_cleanup_errors=True) as made:
        folder = Path(made)
        (folder / "password").write_text(password)
        if os.geteuid() == 0:  # PostgreSQL does not run as root
            nobody = pwd.getpwnam("nobody")
            as_user = ("setpriv", f"--reuid={nobody.pw_uid}", f"--regid={nobody.pw_gid}", "--clear-groups")
            for path in (folder, folder / "password"):
                os.chown(path, nobody.pw_uid, nobody.pw_gid)
        init = ("-U", "mlflow", "--auth=scram-sha-256", f"--pwfile={folder / 'password'}", "--no-sync", "-E", "UTF8")
        _run([*as_user, str(programs / "initdb"), "-D", str(folder / "data"), *init])
        options = ("-p", str(port), "-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=", "-F")
        with (folder / "log").open("wb") as log:
            server = subprocess.Popen(
                [*as_user, str(programs / "postgres"), "-D", str(folder / "data"), *options], stdout=log, stderr=log
            )
        try:
            ready = [str(programs / "pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(port)]
            wait_until(lambda: subprocess.run(ready, check=False).returncode == 0, timeout_s=60)
            create = [str(programs / "createdb"), "-h", "127.0.0.1", "-p", str(port), "-U", "mlflow", "mlflow"]
            _run(create, PGPASSWORD=password)
            yield Postgres(uri=f"postgresql://mlflow:{password}@127.0.0.1:{port}/mlflow", password=password)
        finally:
            server.terminate()
            server.wait(30)


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectStore:
    """An object store with an empty bucket."""

    folder: Path
    endpoint: str
    access_key: str
    secret_key: str

    @property
    def variables(self) -> dict[str, str]:
        """Return the variables by which MLflow reaches it."""
        return {
            "MLFLOW_S3_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": self.access_key,
            "AWS_SECRET_ACCESS_KEY": self.secret_key,
            "AWS_DEFAULT_REGION": "us-east-1",
        }

    def names(self) -> set[str]:
        """Return the names of all objects without their folders; nanio keeps an object in a file of its name."""
        return {path.name for path in (self.folder / BUCKET).rglob("*") if path.is_file()}


@contextlib.contextmanager
def object_store(folder: Path) -> Iterator[ObjectStore]:
    """Run an object store on a free port of loopback, with a bucket in it."""
    port = free_port()
    store = ObjectStore(
        folder=folder / "objects",
        endpoint=f"http://127.0.0.1:{port}",
        access_key=secrets.token_hex(8),
        secret_key=secrets.token_hex(16),
    )
    keys = {"NANIO_ACCESS_KEY": store.access_key, "NANIO_SECRET_KEY": store.secret_key}
    command = [python_of_servers(), "-m", "nanio", "serve", "--host", "127.0.0.1", "--port", str(port)]
    with (folder / "objects.log").open("wb") as log:
        server = subprocess.Popen(
            [*command, "--data-dir", str(store.folder)], stdout=log, stderr=log, env={**os.environ, **keys}
        )

    make_bucket = [python_of_servers(), "-c", _MAKE_BUCKET.format(bucket=BUCKET)]

    def makes_bucket() -> bool:
        assert server.poll() is None, (folder / "objects.log").read_text()
        made = subprocess.run(make_bucket, check=False, capture_output=True, env={**os.environ, **store.variables})
        return made.returncode == 0

    try:
        wait_until(makes_bucket, timeout_s=60)
        yield store
    finally:
        server.terminate()
        server.wait(30)


def _run(command: Sequence[str], **variables: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, **variables})
    assert done.returncode == 0, done.stderr
