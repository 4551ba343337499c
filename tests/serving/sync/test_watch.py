"""The watch on a real TorchServe with two workers of a version, and real signals."""

from __future__ import annotations

import logging
import shutil
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import grpc
import psutil
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from serving.client import CommentaryClient, DeadlineError, LiveVersion, UnavailableError
from serving.torchserve.keys import Keys
from serving.torchserve.management import _send_blocking
from tests.serving.support import (
    EchoRegistry,
    Load,
    ServiceProcess,
    ask,
    assert_gone,
    running_service,
    steady_load,
    wait_until,
)

pytestmark = pytest.mark.integration

_log = logging.getLogger(__name__)

MODEL, OTHER = "watched", "beside"
HEALTH = "deephypebot.v1.Commentary"
RECOVERY_S = 90
"""Time for workers to start where many processes share two cores; a few seconds otherwise."""


@pytest.fixture(scope="module")
def watched(registry: EchoRegistry, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceProcess]:
    """A service of two models with two workers each."""
    for model in (MODEL, OTHER):
        registry.alias(model, "champion", registry.register(model))
    folder = tmp_path_factory.mktemp("watched")
    with running_service(registry.uri, folder, (MODEL, OTHER), "--workers", "2") as service:
        yield service


@pytest.fixture
def client(watched: ServiceProcess) -> Iterator[CommentaryClient]:
    with CommentaryClient(watched.target, model=MODEL, timeout_s=30) as client:
        wait_until(
            lambda: all(live(client, model).workers_ready == 2 for model in (MODEL, OTHER)), timeout_s=RECOVERY_S
        )
        yield client


def live(client: CommentaryClient, model: str = MODEL) -> LiveVersion:
    """The one version of a model; none of its workers is ready while it is being loaded."""
    (described,) = client.describe(model)
    return described.versions[0] if described.versions else cast("LiveVersion", _Loading())


def wait_answer(client: CommentaryClient) -> None:
    """Ask until there is an answer, as long as the service says that it is worth another try."""

    def answers() -> bool:
        try:
            return client.generate(ask(title="after")).samples[0].text == "after"
        except UnavailableError:
            return False

    wait_until(answers, timeout_s=RECOVERY_S)


class _Loading:
    workers_ready = 0


def workers_of(service: ServiceProcess, model: str = MODEL) -> list[psutil.Process]:
    return service.workers(f'{model}"')


def jvm_folder(service: ServiceProcess) -> Path:
    return Path(service.jvm.cwd())


def manage(service: ServiceProcess, method: str, path: str) -> int:
    """One request to TorchServe's management API, as a process of the service's own user can send it."""
    folder = jvm_folder(service)
    keys = Keys.read(folder)
    assert keys is not None
    status, _ = _send_blocking(method, path, folder / "management.sock", keys.management, 60.0)
    return status


@contextmanager
def health_of(service: ServiceProcess, model: str) -> Iterator[list[tuple[float, str]]]:
    """The health of a model as a Watch tells it, each with its time, for as long as the block runs."""
    told: list[tuple[float, str]] = []
    with grpc.insecure_channel(service.target) as channel:
        stub: Any = health_pb2_grpc.HealthStub(channel)
        stream = stub.Watch(health_pb2.HealthCheckRequest(service=f"{HEALTH}/{model}" if model else ""))

        def follow() -> None:
            try:
                for answer in stream:
                    name = health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status)
                    told.append((time.monotonic(), name))
            except grpc.RpcError:
                return

        thread = threading.Thread(target=follow)
        thread.start()
        try:
            wait_until(lambda: told)
            yield told
        finally:
            stream.cancel()
            thread.join()


def statuses(told: list[tuple[float, str]]) -> list[str]:
    return [status for _, status in told]


def share_answered(load: Load) -> float:
    answered = sum(load.answered.values())
    return answered / (answered + len(load.failures))


def test_one_stopped_worker_of_two_is_replaced_and_the_other_answers_on(
    watched: ServiceProcess, client: CommentaryClient
) -> None:
    stopped, other = workers_of(watched)
    with health_of(watched, MODEL) as told, steady_load(watched.target, MODEL) as load:
        wait_until(lambda: sum(load.answered.values()) > 100)
        started = time.monotonic()
        stopped.send_signal(signal.SIGSTOP)
        wait_until(lambda: not stopped.is_running())
        replaced_s = time.monotonic() - started
        wait_until(lambda: live(client).workers_ready == 2, timeout_s=RECOVERY_S)
        back_s = time.monotonic() - started
        before = sum(load.answered.values())
        wait_until(lambda: sum(load.answered.values()) > before + 300)
    _log.info("stopped worker ended after %.1f s, replaced after %.1f s, %s", replaced_s, back_s, load)
    assert replaced_s < 5
    assert share_answered(load) >= 0.99, load
    assert statuses(told) == ["SERVING"]
    assert other.is_running()
    assert len(workers_of(watched)) == 2


def test_stopped_workers_of_an_idle_version_are_told_by_its_health_alone_and_replaced(
    watched: ServiceProcess, client: CommentaryClient
) -> None:
    with health_of(watched, MODEL) as told, health_of(watched, OTHER) as beside:
        stopped = workers_of(watched)
        started = time.monotonic()
        for worker in stopped:
            worker.send_signal(signal.SIGSTOP)
        wait_until(lambda: len(told) > 1)
        assert told[1][1] == "NOT_SERVING"
        assert told[1][0] - started < 10
        assert not client.is_serving()  # it is the default model
        wait_until(lambda: len(told) > 2, timeout_s=RECOVERY_S)
        assert told[2][1] == "SERVING"
        wait_answer(client)
        assert statuses(beside) == ["SERVING"]
    _log.info("both stopped: %s", [f"{at - started:.1f} s {status}" for at, status in told[1:]])
    assert_gone(stopped, timeout_s=0)


def test_killed_workers_are_told_by_health_and_a_patient_client_is_answered(
    watched: ServiceProcess, client: CommentaryClient
) -> None:
    with health_of(watched, MODEL) as told:
        started = time.monotonic()
        for worker in workers_of(watched):
            worker.kill()
        wait_until(lambda: len(told) > 1, timeout_s=10)
        wait_answer(client)
        gap_s = time.monotonic() - started
        wait_until(lambda: statuses(told) == ["SERVING", "NOT_SERVING", "SERVING"], timeout_s=RECOVERY_S)
    _log.info("both killed: answered after %.1f s", gap_s)
    wait_until(lambda: live(client).workers_ready == 2, timeout_s=RECOVERY_S)
    wait_until(lambda: len(workers_of(watched)) == 2)


@pytest.mark.torchserve
@pytest.mark.parametrize("path", ["/models/watched/1?min_worker=0", "/models/watched/1?min_worker=1&max_worker=1"])
def test_workers_that_somebody_scaled_away_come_back(
    watched: ServiceProcess, client: CommentaryClient, path: str
) -> None:
    before = workers_of(watched)
    assert manage(watched, "PUT", path) == 202
    wait_until(lambda: workers_of(watched) != before)
    wait_until(lambda: live(client).workers_ready == 2, timeout_s=RECOVERY_S)
    wait_answer(client)


@pytest.mark.torchserve
def test_a_version_that_somebody_removed_from_torchserve_comes_back(
    watched: ServiceProcess, client: CommentaryClient
) -> None:
    before = workers_of(watched)
    assert manage(watched, "DELETE", "/models/watched/1") == 200
    wait_until(lambda: live(client).workers_ready == 2 and workers_of(watched) != before, timeout_s=RECOVERY_S)
    wait_answer(client)


@pytest.mark.torchserve
def test_a_stopped_jvm_is_replaced(watched: ServiceProcess, client: CommentaryClient) -> None:
    jvm = watched.jvm
    with health_of(watched, MODEL) as told:
        started = time.monotonic()
        jvm.send_signal(signal.SIGSTOP)
        wait_until(lambda: not jvm.is_running(), timeout_s=10)
        replaced_s = time.monotonic() - started
        wait_answer(client)
        gap_s = time.monotonic() - started
        wait_until(lambda: statuses(told) == ["SERVING", "NOT_SERVING", "SERVING"], timeout_s=RECOVERY_S)
        assert told[1][0] - started < 5
    _log.info("stopped JVM: ended after %.1f s, answered after %.1f s", replaced_s, gap_s)
    assert watched.jvm.pid != jvm.pid


@pytest.mark.torchserve
def test_a_jvm_whose_folder_was_removed_is_replaced_before_its_workers_are_missed(
    watched: ServiceProcess, client: CommentaryClient
) -> None:
    jvm, folder = watched.jvm, jvm_folder(watched)
    with steady_load(watched.target, MODEL) as load:
        wait_until(lambda: sum(load.answered.values()) > 20)
        shutil.rmtree(folder)
        workers_of_jvm = jvm.children()
        workers_of_jvm[0].kill()
        wait_until(lambda: not jvm.is_running())
        wait_until(lambda: live(client).workers_ready == 2, timeout_s=RECOVERY_S)
    assert jvm_folder(watched) != folder
    wait_answer(client)


def test_a_worker_that_waits_for_ever_is_replaced_and_the_other_is_not(
    watched: ServiceProcess, client: CommentaryClient
) -> None:
    workers = workers_of(watched)
    with health_of(watched, MODEL) as told:
        with pytest.raises(DeadlineError):
            client.generate(ask(artist="sleep 300"), timeout_s=3)
        wait_until(lambda: not all(worker.is_running() for worker in workers), timeout_s=RECOVERY_S)
        wait_until(lambda: live(client).workers_ready == 2, timeout_s=RECOVERY_S)
    assert sum(worker.is_running() for worker in workers) == 1
    assert statuses(told) == ["SERVING"]
    wait_answer(client)


def test_a_worker_that_works_for_long_is_left_alone(watched: ServiceProcess, client: CommentaryClient) -> None:
    workers = {worker.pid for worker in workers_of(watched)}
    answer = client.generate(ask(artist="work 12", title="long"), timeout_s=30)
    assert answer.samples[0].text == "long"
    assert {worker.pid for worker in workers_of(watched)} == workers
