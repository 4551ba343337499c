"""A webhook of a real MLflow server, which wakes the poll of a real sync through a real door."""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.fernet import Fernet
from mlflow import MlflowClient
from typer.testing import CliRunner

from serving.errors import RegistryError
from serving.http.door import Door
from serving.http.settings import HttpSettings
from serving.models_cli import app_models
from serving.registry.unpacked import Unpacked
from serving.registry.versions import ModelSnapshot
from serving.registry.webhooks import Webhooks, server_needs
from serving.sync.loop import Sync, SyncSettings
from serving.torchserve.process import TorchServeSettings
from serving.torchserve.supervisor import Supervisor
from serving.traffic.routes import RoutingTable
from serving.workers.replacements import Replacements
from tests.serving.loopback_gateway import bench, until
from tests.serving.support import free_port, wait_until

pytestmark = [pytest.mark.integration, pytest.mark.timeout(240)]

SECRET = "0123456789abcdef"  # noqa: S105 - of this test


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """An MLflow server that may post to loopback, as docs/guides/traffic.md says."""
    folder, address = tmp_path_factory.mktemp("mlflow"), f"http://127.0.0.1:{(port := free_port())}"
    allowed = dict(each.split("=", 1) for each in server_needs(address) if "=" in each)
    others = {
        "MLFLOW_WEBHOOK_CACHE_TTL": "0",  # the list of webhooks is kept for a minute by default
        "MLFLOW_WEBHOOK_SECRET_ENCRYPTION_KEY": Fernet.generate_key().decode(),
        "MLFLOW_WEBHOOK_REQUEST_MAX_RETRIES": "0",  # a trial that fails would take a quarter of a minute
    }
    command = [
        *("mlflow", "server", "--port", str(port), "--workers", "1"),
        "--backend-store-uri",
        "sqlite:///mlflow.db",
    ]
    with (folder / "server.log").open("wb") as log:
        child = subprocess.Popen(
            [sys.executable, "-m", *command],
            env={**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true", **allowed, **others},
            cwd=folder,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        try:
            wait_until(lambda: child.poll() is not None or _is_healthy(address), timeout_s=120)
            assert child.poll() is None, (folder / "server.log").read_text()
            yield address
        finally:
            os.killpg(child.pid, 9)
            child.wait()


def _is_healthy(address: str) -> bool:
    url = f"{address}/health"
    with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=2) as answer:  # noqa: S310 - our own
        return bool(answer.status == 200)
    return False


class WatchedSync(Sync):
    """A sync that notes what it reads; TorchServe never runs, so nothing is loaded."""

    def watch(self) -> list[ModelSnapshot]:
        seen: list[ModelSnapshot] = []
        (follower,) = self._followers.values()
        take = follower.take

        async def noted(reading: ModelSnapshot) -> None:
            seen.append(reading)
            await take(reading)

        follower.take = noted  # type: ignore[method-assign]
        return seen


@pytest.mark.alone
def test_moving_an_alias_wakes_the_poll_within_a_second(server: str, tmp_path: Path) -> None:
    client = MlflowClient(server, server)
    client.create_registered_model("lcgan")
    run_id = client.create_run("0").info.run_id
    for _ in range(2):
        client.create_model_version("lcgan", source=f"runs:/{run_id}/model", run_id=run_id)
    client.set_registered_model_alias("lcgan", "champion", "1")
    secret_file = tmp_path / "secret"
    secret_file.write_text(f"{SECRET}\n")

    def command(*arguments: str) -> str:
        result = CliRunner().invoke(app_models, ["webhook", *arguments, "--tracking-uri", server])
        assert result.exit_code == 0, result.output + repr(result.exception)
        return " ".join(result.output.split())

    async def scene() -> None:
        table = RoutingTable(("lcgan",))
        with Unpacked(tmp_path / "store") as unpacked:
            sync = WatchedSync(
                SyncSettings(model_store=tmp_path / "store", poll_s=300),
                tracking_uri=server,
                host=Supervisor(
                    TorchServeSettings(model_store=tmp_path / "store", log_dir=tmp_path),
                    on_down=lambda: None,
                    replacements=Replacements(),
                ),
                table=table,
                unpacked=unpacked,
                on_change=lambda: None,
            )
            seen = sync.watch()
            async with bench() as it:
                door = Door(HttpSettings(webhook_secret=SECRET), gateway=it.gateway, wake=sync.wake)
                url = await door.start()
                running = asyncio.create_task(sync.run())
                try:
                    await asyncio.wait_for(until(lambda: seen), 30)
                    added = await asyncio.to_thread(command, "add", url, "--webhook-secret-file", str(secret_file))
                    assert "a trial of it reached the gateway" in added
                    assert "MLFLOW_WEBHOOK_ALLOWED_SCHEMES=http,https" in added
                    assert url in await asyncio.to_thread(command, "list")
                    await asyncio.wait_for(until(lambda: len(seen) > 1), 5)  # the trial has woken it
                    await asyncio.to_thread(client.set_registered_model_alias, "lcgan", "champion", "2")
                    moved = time.monotonic()
                    await asyncio.wait_for(until(lambda: _champion(seen[-1]) == "2"), 10)
                    assert time.monotonic() - moved < 1
                    await asyncio.to_thread(command, "remove")
                    assert "there is no webhook" in await asyncio.to_thread(command, "list")
                finally:
                    running.cancel()
                    await asyncio.gather(running, return_exceptions=True)
                    await it.gateway.stop()
                    await door.stop()

    (tmp_path / "store").mkdir()
    asyncio.run(scene())


def _champion(reading: ModelSnapshot) -> str:
    return next((each.version for each in reading.versions if "champion" in each.aliases), "")


def test_a_webhook_that_the_server_cannot_reach_is_told_with_what_it_needs(server: str) -> None:
    webhooks = Webhooks(server)
    problem = webhooks.add("away", f"http://127.0.0.1:{free_port()}/webhooks/mlflow", secret=SECRET)
    assert problem
    with pytest.raises(RegistryError, match="already"):
        webhooks.add("away", "http://127.0.0.1:1/webhooks/mlflow", secret=SECRET)
    webhooks.remove("away")
    with pytest.raises(RegistryError, match="there is no webhook 'away'; there are: none"):
        webhooks.remove("away")
    with pytest.raises(RegistryError, match="MLFLOW_WEBHOOK_SECRET_ENCRYPTION_KEY"):
        webhooks.add("wrong", "ftp://127.0.0.1/", secret=SECRET)


def test_a_database_has_no_webhooks(tmp_path: Path) -> None:
    with pytest.raises(RegistryError, match="only an MLflow server sends webhooks"):
        Webhooks(f"sqlite:///{tmp_path / 'mlflow.db'}")
