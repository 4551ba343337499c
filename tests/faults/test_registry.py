"""The registry goes away, is locked or emptied, or says what makes no sense, under load."""

from __future__ import annotations

import contextlib
import os
import signal
import sqlite3
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from foundation.hashes import file_sha256
from handlers.contract import ARCHIVE_SHA256_TAG
from serving.client import CommentaryClient, LiveModel
from serving.registry.versions import SYNC_ERROR_TAG
from tests.faults.load import ONCE, RETRYING, wait_for
from tests.faults.reporting import Row
from tests.faults.scene import House, Observation, make_house, observing
from tests.serving.support import EchoRegistry, free_port

pytestmark = [pytest.mark.integration, pytest.mark.fault, pytest.mark.timeout(300)]

AWAY_S = 8.0
LOCKED_S = 15.0


def live(house: House) -> LiveModel:
    with CommentaryClient(house.target, model=house.model) as client:
        (described,) = client.describe(house.model)
        return described


def nothing_failed(seen: Observation) -> None:
    assert seen.failures(ONCE) == seen.failures(RETRYING) == {}
    assert seen.serving_throughout


@contextlib.contextmanager
def other_content(house: House, content: bytes, told: str) -> Iterator[None]:
    """Give the database another content for the length of the block, in place: a renamed file would stay open.

    Args:
        house: the service, which must notice it.
        content: the bytes.
        told: words of the service's log by which it says so.
    """
    logged = len(house.running.log())
    kept = house.database.read_bytes()
    _write_in_place(house.database, content)
    try:
        yield
        assert told in house.running.log()[logged:], "the service did not notice"
    finally:
        _write_in_place(house.database, kept)


def _write_in_place(path: Path, content: bytes) -> None:
    with path.open("r+b", buffering=0) as file:
        file.write(content)
        file.truncate()


LOST = "serving continues with the live versions"
CONTENTS: dict[str, tuple[Callable[[EchoRegistry], bytes], str]] = {
    "an empty file": (lambda _: b"", LOST),
    "noise": (lambda _: os.urandom(200_000), LOST),
    "an empty registry": (
        lambda empty: Path(empty.uri.removeprefix("sqlite:///")).read_bytes(),
        "it keeps answering until another is named",
    ),
}
"""What stands in the place of the database, and how the service says that it has noticed."""


@pytest.mark.promise("registry", "", "what was live stays live; sync resumes by itself")
@pytest.mark.parametrize("kind", CONTENTS)
def test_database_replaced(house: House, row: Row, empty_registry: EchoRegistry, kind: str) -> None:
    row.fault = f"{kind} in the place of the database for {AWAY_S:g} s"
    content, told = CONTENTS[kind]
    champion = live(house).champion
    with observing(house, row) as seen:
        with other_content(house, content(empty_registry), told):
            seen.last(AWAY_S)
            assert live(house).champion == champion
        seen.heal()
        _follows_a_promotion(house)
        seen.wait_normal()
    nothing_failed(seen)


@pytest.mark.promise("registry", f"the database locked for {LOCKED_S:g} s", "serving goes on; sync resumes by itself")
def test_registry_locked(house: House, row: Row) -> None:
    logged = len(house.running.log())
    with observing(house, row) as seen:
        with closing(sqlite3.connect(house.database, isolation_level=None)) as holder:
            holder.execute("BEGIN EXCLUSIVE")
            seen.last(LOCKED_S)
            holder.execute("ROLLBACK")
        seen.heal()
        _follows_a_promotion(house)
        seen.wait_normal()
    nothing_failed(seen)
    row.notes.append("noticed" if LOST in house.running.log()[logged:] else "the lock was waited out")


@pytest.mark.promise("registry", f"the champion's alias removed for {AWAY_S:g} s", "the champion goes on answering")
def test_champion_alias_removed(house: House, row: Row) -> None:
    champion = live(house).champion
    with observing(house, row) as seen:
        house.control.remove_alias(house.model, "champion")
        seen.last(AWAY_S)
        assert live(house).champion == champion
        house.registry.alias(house.model, "champion", champion)
        seen.heal()
        _follows_a_promotion(house)
        seen.wait_normal()
    nothing_failed(seen)


@pytest.mark.promise("registry", "twenty promotions and rollbacks", "no request fails")
def test_twenty_promotions(house: House, row: Row) -> None:
    with observing(house, row) as seen:
        for turn in range(20):
            if turn % 5 == 4:
                house.control.rollback(house.model)
            else:
                _follows_a_promotion(house)
        seen.wait_normal()
    nothing_failed(seen)
    assert {call.version for call in seen.load.calls} >= {"1", "2"}


@pytest.mark.promise(
    "registry", "the champion's version deleted", "what was live stays live until something better is proven"
)
def test_champion_version_deleted(empty_registry: EchoRegistry, row: Row, tmp_path: Path) -> None:
    house = make_house(empty_registry, tmp_path, "evicted")
    second = house.register()
    house.control.promote(house.model, second)
    house.start()
    try:
        with observing(house, row, versions_change=True) as seen:
            house.registry.client.delete_model_version(house.model, second)
            seen.last(8)
            seen.wait_normal()
        nothing_failed(seen)
        third = house.register()
        house.registry.alias(house.model, "champion", third)
        wait_for(lambda: live(house).champion == third, timeout_s=30, what="a new champion")
    finally:
        house.close()


@pytest.mark.promise(
    "registry",
    "started and its JVM killed while the registry is away",
    "the last good state answers; back without the registry",
)
def test_restart_without_the_registry(house: House, row: Row) -> None:
    # What is kept on the disk is the state in which the model answers now.
    champion = live(house).champion
    time.sleep(2)
    hidden = house.database.with_name("hidden.db")
    with observing(house, row) as seen:
        house.database.rename(hidden)
        try:
            house.stop(signal.SIGTERM)
            house.start()
            house.running.jvm.kill()
            seen.last(1)
            seen.heal()
            seen.wait_normal(90)
            assert live(house).champion == champion
        finally:
            hidden.rename(house.database)
        _follows_a_promotion(house)
        seen.wait_normal()
    assert set(seen.failures(ONCE)) <= {"UNAVAILABLE", "DEADLINE_EXCEEDED"}
    assert row.normal_s < 60


@pytest.mark.promise(
    "registry",
    "started with a champion whose archive is bad",
    "`previous` answers in its place until the champion is proven",
)
def test_start_with_a_bad_champion(empty_registry: EchoRegistry, row: Row, tmp_path: Path) -> None:
    house = make_house(empty_registry, tmp_path, "understudy")
    bad = house.register(digest="0" * 64)
    house.control.set_previous(house.model, "1")
    house.registry.alias(house.model, "champion", bad)
    house.start()
    try:
        with observing(house, row, versions_change=True) as seen:
            assert {version.version for version in live(house).versions} == {"1"}
            built = house.registry.folder / "built" / f"{house.model}_{bad}.mar"
            house.registry.client.set_model_version_tag(house.model, bad, ARCHIVE_SHA256_TAG, file_sha256(built))
            with contextlib.suppress(Exception):
                house.registry.client.delete_model_version_tag(house.model, bad, SYNC_ERROR_TAG)
            wait_for(lambda: live(house).champion == bad, timeout_s=60, what="the repaired champion")
            seen.wait_normal()
        nothing_failed(seen)
    finally:
        house.close()


@dataclass(kw_only=True)
class MlflowServer:
    """An MLflow server in front of a database, as a process that can be killed, held and started again."""

    database: Path
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    @property
    def uri(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        with self.database.with_name("mlflow.log").open("ab") as log:
            self.process = subprocess.Popen(
                [
                    *(sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(self.port)),
                    *("--workers", "1", "--backend-store-uri", f"sqlite:///{self.database}"),
                ],
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        wait_for(self.is_healthy, timeout_s=90, what="the start of the MLflow server")

    def is_healthy(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.uri}/health", timeout=2) as answer:  # noqa: S310 - our own server
                return bool(answer.status == 200)
        except OSError:
            return False

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the server and all of its workers."""
        if self.process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, number)
            if number is signal.SIGKILL:
                self.process.wait()


@pytest.mark.promise(
    "registry", "the MLflow server held (SIGSTOP), killed, and started again", "serving goes on; sync resumes by itself"
)
def test_mlflow_server_held_and_killed(empty_registry: EchoRegistry, row: Row, tmp_path: Path) -> None:
    house = make_house(empty_registry, tmp_path, "remote")
    house.register()
    server = MlflowServer(database=house.database)
    house.follow = server.uri
    try:
        server.start()
        house.start()
        with observing(house, row, versions_change=True) as seen:
            server.signal(signal.SIGSTOP)
            seen.last(AWAY_S)
            server.signal(signal.SIGKILL)
            seen.last(AWAY_S)
            server.start()
            seen.heal()
            _follows_a_promotion(house)
            seen.wait_normal()
        nothing_failed(seen)
    finally:
        house.close()
        server.signal(signal.SIGKILL)


def _follows_a_promotion(house: House) -> None:
    """Promote the version that is not the champion, and wait until it is: sync follows the registry."""
    other = "2" if live(house).champion == "1" else "1"
    house.control.promote(house.model, other)
    wait_for(lambda: live(house).champion == other, timeout_s=60, what=f"the promotion of version {other}")
