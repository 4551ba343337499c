from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest

from serving.registry.trust import Trust
from serving.registry.unpacked import Unpacked
from serving.registry.versions import RegisteredVersion
from serving.sync.follower import Follower, FollowerSettings
from serving.sync.last_good import LastGood
from serving.sync.loading import Loader, TorchServeGoneError
from serving.sync.observer import SyncObserver
from serving.sync.readings import Readings
from serving.torchserve.inference import Inference
from serving.torchserve.keys import Keys
from serving.torchserve.management import Management
from serving.torchserve.process import Instance, TorchServeSettings
from serving.torchserve.supervisor import Running, Supervisor
from serving.traffic.routes import RoutingTable
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
    return Running(instance=instance, inference=Inference("127.0.0.1:1"))


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
        supervisor=supervisor,
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
    )


def test_a_version_is_not_blamed_if_torchserve_goes_while_it_is_loaded_again(tmp_path: Path) -> None:
    async def scene() -> None:
        table = RoutingTable(("lcgan",))
        table.add(route("2"))
        table.switch("lcgan", "2")
        follower = follower_in(tmp_path, table)
        running = running_in(tmp_path)
        follower.step(running)
        try:
            with pytest.raises(TorchServeGoneError, match="lcgan/2"):
                await follower.reload("2")
            assert table.champion("lcgan") == "2"
        finally:
            await follower.close()
            await running.inference.close()

    asyncio.run(asyncio.wait_for(scene(), 30))
