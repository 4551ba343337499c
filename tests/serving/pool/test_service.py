"""The whole service on the pool, as `serve --worker-host pool` runs it."""

from __future__ import annotations

from pathlib import Path

import psutil
import pytest

from serving.client import CommentaryClient, UnavailableError
from tests.serving.support import EchoRegistry, ask, running_service, steady_load, wait_until

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

            def workers() -> list[psutil.Process]:
                return psutil.Process(service.process.pid).children()

            assert version() == first
            wait_until(lambda: client.describe(MODEL)[0].versions[0].workers_ready == 2)
            with steady_load(service.target, MODEL) as load:
                wait_until(lambda: sum(load.answered.values()) > 100)
                second = registry.register(MODEL)
                registry.alias(MODEL, "champion", second)
                wait_until(lambda: load.answered.get(second, 0) > 100)
            assert load.failures == []
            workers()[0].kill()
            wait_until(lambda: client.describe(MODEL)[0].versions[0].workers_ready == 2)
            with pytest.raises(UnavailableError):
                client.generate(ask(artist="die"), timeout_s=5)
            assert version() == second
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
        for worker in psutil.Process(service.process.pid).children():
            folder = Path(worker.cwd())
            if f"{model}_{second}-" in folder.name:
                (folder / "echo_handler.py").write_text("raise ImportError('it is gone')\n")
                worker.kill()
        wait_until(lambda: _version(client) == first, timeout_s=60)
        assert "cannot be started again" in wait_until(lambda: registry.tag(model, second, "sync_error"))


def _version(client: CommentaryClient) -> str:
    try:
        return client.generate(ask()).model.version
    except UnavailableError:
        return ""
