"""The whole service on the pool, as `serve --worker-host pool` runs it."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from serving.client import CommentaryClient, UnavailableError
from tests.serving.support import (
    ONE_ATTEMPT,
    EchoRegistry,
    ServiceProcess,
    ask,
    running_service,
    steady_load,
    wait_until,
)

pytestmark = pytest.mark.integration

MODEL = "pooled_service"


def test_a_service_without_java_moves_its_champion_replaces_dead_workers_and_refuses_a_broken_version(
    registry: EchoRegistry, tmp_path: Path
) -> None:
    first = registry.register(MODEL)
    registry.alias(MODEL, "champion", first)
    options = ("--worker-host", "pool", "--workers", "2")
    with running_service(registry.uri, tmp_path, [MODEL], *options) as service:
        assert "torchserve_pid" not in service.ready
        names = [process.name() for process in service.family()]
        assert not any("java" in name for name in names), names
        with CommentaryClient(service.target, model=MODEL, timeout_s=30) as client:

            def version() -> str:
                return client.generate(ask()).model.version

            def workers_ready(number: str) -> int:
                versions = client.describe(MODEL)[0].versions
                return next((each.workers_ready or 0 for each in versions if each.version == number), 0)

            assert version() == first
            wait_until(lambda: workers_ready(first) == 2)
            with steady_load(service.target, MODEL) as load:
                wait_until(lambda: sum(load.answered.values()) > 100)
                second = registry.register(MODEL)
                registry.alias(MODEL, "champion", second)
                wait_until(lambda: load.answered.get(second, 0) > 100)
            assert load.failures == []
            wait_until(lambda: workers_ready(second) == 2)
            killed = _workers_of(service, MODEL, second)[0]
            killed.kill()
            killed.wait(20)
            wait_until(lambda: len(_workers_of(service, MODEL, second)) == workers_ready(second) == 2)
            once = CommentaryClient(service.target, model=MODEL, retry=ONE_ATTEMPT)
            with once, pytest.raises(UnavailableError):
                once.generate(ask(artist="die"), version=second, timeout_s=30)
            # The gateway sends it once more, so both workers die: the version before may answer until one is ready.
            wait_until(lambda: version() == second)
            assert not registry.tag(MODEL, second, "sync_error")
            broken = registry.register(MODEL, broken=True)
            registry.alias(MODEL, "champion", broken)
            reason = wait_until(lambda: registry.tag(MODEL, broken, "sync_error"))
            assert "these weights cannot be loaded" in reason
            assert version() == second


@pytest.mark.pool
def test_workers_that_cannot_start_any_more_are_given_up_for_the_version_before(
    registry: EchoRegistry, tmp_path: Path
) -> None:
    model = "pooled_given_up"
    first, second = registry.register(model), registry.register(model)
    registry.alias(model, "champion", second)
    registry.alias(model, "previous", first)
    with (
        running_service(registry.uri, tmp_path, [model], "--worker-host", "pool") as service,
        CommentaryClient(service.target, model=model, timeout_s=30) as client,
    ):
        wait_until(lambda: len(client.describe(model)[0].versions) == 2)
        for worker in _workers_of(service, model, second):
            Path(worker.cwd(), "echo_handler.py").write_text("raise ImportError('it is gone')\n")
            worker.kill()
        wait_until(lambda: _version(client) == first, timeout_s=60)
        assert "cannot be started again" in wait_until(lambda: registry.tag(model, second, "sync_error"))


def _workers_of(service: ServiceProcess, model: str, version: str) -> list[psutil.Process]:
    """The processes of one version's workers: each works in the folder of its unpacked archive."""
    found = []
    for worker in service.workers(model):
        with suppress(psutil.Error):  # it has just ended
            if Path(worker.cwd()).name.startswith(f"{model}_{version}-"):
                found.append(worker)
    return found


def _version(client: CommentaryClient) -> str:
    try:
        return client.generate(ask()).model.version
    except UnavailableError:
        return ""
