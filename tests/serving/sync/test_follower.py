from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

from serving.registry.owned_reasons import STALE_S, OwnedReasons
from serving.registry.trust import Trust
from serving.registry.unpacked import Unpacked
from serving.registry.versions import ModelSnapshot, RegisteredVersion
from serving.sync.follower import Follower, FollowerSettings
from serving.sync.last_good import LastGood
from serving.sync.loading import Loader
from serving.sync.observer import SyncObserver
from serving.sync.readings import Readings
from serving.torchserve.inference import TorchServeInference
from serving.torchserve.keys import Keys
from serving.torchserve.management import Management
from serving.torchserve.process import Instance, TorchServeSettings
from serving.torchserve.running import Running
from serving.torchserve.supervisor import Supervisor
from serving.traffic.routes import RoutingTable
from serving.workers.host import HostGoneError
from tests.serving.loopback_gateway import route

ENTRY = RegisteredVersion(
    model="lcgan", version="2", aliases=("champion",), run_id="", archive_path="", archive_sha256="a", sync_error=""
)


def running_in(folder: Path) -> Running:
    """A TorchServe that has ended: nothing listens on its ports."""
    keys = Keys(management="", inference="")
    nowhere = folder / "nobody.sock"
    management = Management(management_socket=nowhere, inference_socket=nowhere, keys=keys)
    instance = Instance(
        guard=cast("Any", None),
        pid=0,
        management=management,
        inference_target="127.0.0.1:1",
        keys=keys,
        metrics_url="",
        folder=folder,
        threads_file=folder / "threads",
    )
    return Running(instance=instance, inference=TorchServeInference("127.0.0.1:1"))


def follower_in(folder: Path, table: RoutingTable, on_change: Callable[[], None] = lambda: None) -> Follower:
    """A follower whose champion, lcgan 2, answered before; TorchServe does not run."""
    readings = Readings(f"sqlite:///{folder / 'mlflow.db'}")
    supervisor = Supervisor(TorchServeSettings(model_store=folder, log_dir=folder / "logs"), on_down=lambda: None)
    loader = Loader(
        model_store=folder,
        workers=1,
        load_timeout_s=5,
        canary_timeout_s=5,
        fetch_timeout_s=5,
        drain_timeout_s=5,
        archives=readings,
        trust=Trust(None),
        unpacked=Unpacked(folder),
        host=supervisor,
    )
    state = LastGood(model="lcgan", champion="2", previous=None, versions=(ENTRY,), tagged=())
    return Follower(
        "lcgan",
        FollowerSettings(grace_s=15, retry_s=(5, 120)),
        table=table,
        loader=loader,
        readings=readings,
        observer=SyncObserver(),
        on_change=on_change,
        last_good=state,
        reasons=OwnedReasons(),
    )


@pytest.mark.parametrize(("age_s", "stays"), [(60.0, True), (STALE_S + 60.0, False)])
def test_a_reason_that_another_host_left_behind_is_removed_from_a_version_that_has_been_live_for_long(
    age_s: float, stays: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scene() -> list[tuple[str, str]]:
        written = list[tuple[str, str]]()

        async def write(_: Readings, model: str, version: str, text: str) -> None:
            written.append((f"{model}/{version}", text))

        monkeypatch.setattr(Readings, "set_sync_error", write)
        table = RoutingTable(("lcgan",))
        table.add(route("2"))
        table.switch("lcgan", "2")
        follower = follower_in(tmp_path, table)
        text = OwnedReasons(host="a-container-before").sign("no space left", time.time() - age_s)
        versions = (replace(ENTRY, sync_error=text),)
        await follower.take(ModelSnapshot(model="lcgan", versions=versions, existing=frozenset({"2"})))
        for _ in range(20):
            await asyncio.sleep(0)
        await follower.close()
        return written

    assert asyncio.run(scene()) == ([] if stays else [("lcgan/2", "")])


def test_a_version_is_not_blamed_if_torchserve_goes_while_it_is_loaded_again(tmp_path: Path) -> None:
    async def scene() -> None:
        table = RoutingTable(("lcgan",))
        table.add(route("2"))
        table.switch("lcgan", "2")
        follower = follower_in(tmp_path, table)
        running = running_in(tmp_path)
        follower.step(running)
        try:
            with pytest.raises(HostGoneError, match="lcgan/2"):
                await follower.reload("2")
            assert table.champion("lcgan") == "2"
        finally:
            await follower.close()
            await running.inference.close()

    asyncio.run(asyncio.wait_for(scene(), 30))
