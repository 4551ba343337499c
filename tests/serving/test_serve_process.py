"""How `deephypebot serve` begins and ends: each test runs a service of its own."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
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
        owed = pool.submit(client.generate, ask(artist="sleep 6"), timeout_s=20)
        wait_until(lambda: client.describe(MODEL)[0].versions[0].in_flight == 1)
        started = time.monotonic()
        launched.send_signal(signal.SIGTERM)
        wait_until(lambda: not client.is_serving(timeout_s=1))
        assert owed.result().model.version == "1"
        assert launched.wait(15) == 0, service.log()
        assert time.monotonic() - started < 12  # far less than a drain may take
        with pytest.raises(UnavailableError):
            client.generate(ask())
    assert_gone(family, timeout_s=0)
    assert not (folder / "ready.json").exists()


def test_a_second_sigterm_ends_the_drain_at_once(uri: str, folder: Path) -> None:
    launched = launch_service(uri, folder, [MODEL])
    service = wait_ready(launched, folder)
    family = service.family()
    with CommentaryClient(service.target, model=MODEL, retry=ONE_ATTEMPT) as client, ThreadPoolExecutor(1) as pool:
        owed = pool.submit(client.generate, ask(artist="sleep 20"), timeout_s=25)
        wait_until(lambda: client.describe(MODEL)[0].versions[0].in_flight == 1)
        launched.send_signal(signal.SIGTERM)
        wait_until(lambda: "draining: waiting at most 30 s" in service.log())
        with pytest.raises(UnavailableError, match="shutting down"):
            client.generate(ask())
        assert launched.poll() is None
        launched.send_signal(signal.SIGTERM)
        assert launched.wait(8) == 0, service.log()
        with pytest.raises(UnavailableError):
            owed.result()
    assert_gone(family)


@pytest.mark.torchserve
def test_sigkill_leaves_neither_jvm_nor_worker_nor_port_and_its_ready_file_goes_at_the_next_start(
    uri: str, folder: Path
) -> None:
    service = wait_ready(launch_service(uri, folder, [MODEL]), folder)
    family = service.family()
    assert len(family) == 4  # the service, the guard, the JVM, one worker
    service.process.kill()
    service.process.wait()
    assert_gone(family)
    port = int(service.target.rpartition(":")[2])
    with socket.create_server(("127.0.0.1", port)):
        assert (folder / "ready.json").exists()
        launched = launch_service(uri, folder, [MODEL], "--port", str(port))
        assert launched.wait(20) == 1
    assert not (folder / "ready.json").exists()


@pytest.mark.torchserve
def test_the_ready_file_names_the_page_of_the_workers_after_a_restart_of_the_jvm(uri: str, folder: Path) -> None:
    launched = launch_service(uri, folder, [MODEL])
    try:
        service = wait_ready(launched, folder)
        service.jvm.kill()

        def named() -> dict[str, object]:
            return dict(json.loads((folder / "ready.json").read_text()))

        wait_until(lambda: named()["torchserve_pid"] != service.ready["torchserve_pid"], timeout_s=60)
        assert named()["metrics"] != service.ready["metrics"]
        with urllib.request.urlopen(str(named()["metrics"])) as page:  # noqa: S310 - an address of our own
            assert page.status == 200
        assert f"metrics of the workers are on {named()['metrics']}" in service.log()
    finally:
        launched.terminate()
        launched.wait(15)


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
