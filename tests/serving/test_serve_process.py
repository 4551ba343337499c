"""How `deephypebot serve` begins and ends: each test runs a service of its own."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from serving.client import CommentaryClient, UnavailableError
from tests.serving.support import (
    ONE_ATTEMPT,
    SERVE,
    EchoRegistry,
    ask,
    assert_gone,
    free_port,
    launch_service,
    wait_ready,
    wait_until,
)

pytestmark = pytest.mark.integration

MODEL = "delta"


@pytest.fixture(scope="module")
def uri(registry: EchoRegistry) -> str:
    registry.alias(MODEL, "champion", registry.register(MODEL))
    return registry.uri


@pytest.fixture
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Everything of one service, its temporary folder included; nothing of TorchServe's is left there afterwards."""
    made = tmp_path_factory.mktemp("one")
    yield made
    assert list(made.glob("deephypebot-*")) == []


def test_sigterm_answers_what_is_in_flight_and_then_ends_everything(uri: str, folder: Path) -> None:
    launched = launch_service(uri, folder, [MODEL])
    service = wait_ready(launched, folder)
    assert json.loads((folder / "ready.json").read_text())["champions"] == {MODEL: "1"}
    family = service.family()
    with CommentaryClient(service.target, model=MODEL, retry=ONE_ATTEMPT) as client, ThreadPoolExecutor(1) as pool:
        owed = pool.submit(client.generate, ask(artist="sleep 2"))
        wait_until(lambda: client.describe(MODEL)[0].versions[0].in_flight == 1)
        started = time.monotonic()
        launched.send_signal(signal.SIGTERM)
        wait_until(lambda: not client.is_serving(timeout_s=1))
        assert owed.result().model.version == "1"
        assert launched.wait(15) == 0, service.log()
        assert time.monotonic() - started < 10
        with pytest.raises(UnavailableError):
            client.generate(ask())
    assert_gone(family, timeout_s=0)
    assert not (folder / "ready.json").exists()


def test_sigkill_leaves_neither_jvm_nor_worker_nor_port(uri: str, folder: Path) -> None:
    service = wait_ready(launch_service(uri, folder, [MODEL]), folder)
    family = service.family()
    assert len(family) == 4  # the service, the guard, the JVM, one worker
    service.process.kill()
    service.process.wait()
    assert_gone(family)
    with socket.create_server(("127.0.0.1", int(service.target.rpartition(":")[2]))):
        pass


def test_a_service_that_was_told_so_ends_with_the_process_that_started_it(uri: str, folder: Path) -> None:
    options = (
        *("--port", "0", "--models", MODEL, "--tracking-uri", uri, "--workspace", str(folder)),
        *("--model-store", str(folder / "store"), "--ready-file", str(folder / "ready.json"), "--stop-with-parent"),
    )
    command = [sys.executable, "-c", SERVE, *options]
    program = f"import subprocess, time; subprocess.Popen({command!r}); time.sleep(99)"
    log = (folder / "serve.log").open("wb")
    with (
        log,
        subprocess.Popen(
            [sys.executable, "-c", program], stderr=log, env={**os.environ, "TMPDIR": str(folder)}
        ) as parent,
    ):
        wait_until((folder / "ready.json").exists, timeout_s=60)
        family = psutil.Process(parent.pid).children(recursive=True)
        parent.kill()
    assert_gone(family, timeout_s=15)


@pytest.mark.parametrize("after_s", [0.8, 3.0])
def test_ctrl_c_while_starting_ends_everything(uri: str, folder: Path, after_s: float) -> None:
    launched = launch_service(uri, folder, [MODEL], new_session=True)
    time.sleep(after_s)
    family = [psutil.Process(launched.pid), *psutil.Process(launched.pid).children(recursive=True)]
    os.killpg(launched.pid, signal.SIGINT)  # as a terminal does
    launched.wait(15)
    assert_gone(family)


def test_a_port_in_use_is_said_before_anything_is_started(uri: str, folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as owner:
        port = owner.getsockname()[1]
        launched = launch_service(uri, folder, [MODEL], "--port", str(port))
        assert launched.wait(20) == 1
    log = (folder / "serve.log").read_text()
    assert f"PortInUseError: port {port} on 127.0.0.1 is in use" in log
    assert "--port or DEEPHYPEBOT_GATEWAY_PORT" in log
    assert not (folder / "logs").exists()


def test_a_missing_registry_is_said_and_nothing_is_left(folder: Path) -> None:
    launched = launch_service(f"sqlite:///{folder}/none.db", folder, [MODEL])
    assert launched.wait(20) == 1
    assert "RegistryError: there is no registry at" in (folder / "serve.log").read_text()


def test_a_model_without_a_champion_waits_for_one_and_says_so(uri: str, registry: EchoRegistry, folder: Path) -> None:
    port = free_port()
    launched = launch_service(uri, folder, ["epsilon"], "--port", str(port))
    try:
        with CommentaryClient(f"127.0.0.1:{port}", model="epsilon", retry=ONE_ATTEMPT) as client:
            wait_until(lambda: says(client, "epsilon has no champion"))
            # Whoever started it reads why nothing answers, once.
            told = "epsilon is not registered yet: waiting for `deephypebot train`"
            wait_until(lambda: told in (folder / "serve.log").read_text())
            registry.client.create_registered_model("epsilon")
            told_next = "epsilon has no champion: waiting for `deephypebot models promote epsilon/VERSION`"
            wait_until(lambda: told_next in (folder / "serve.log").read_text())
            assert (folder / "serve.log").read_text().count(told) == 1
            assert not client.is_serving()
            registry.alias("epsilon", "champion", registry.register("epsilon"))
            assert wait_ready(launched, folder).target == f"127.0.0.1:{port}"
            assert client.is_serving()
            assert client.generate(ask()).model.version == "1"
    finally:
        launched.terminate()
        assert launched.wait(15) == 0


def says(client: CommentaryClient, message: str) -> bool:
    try:
        client.generate(ask(), timeout_s=2)
    except Exception as fault:  # noqa: BLE001 - its text is what counts
        return message in str(fault)
    return False
