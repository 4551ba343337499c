from __future__ import annotations

import asyncio
import dataclasses
import socket
import stat
import tempfile
from pathlib import Path
from typing import Any

import grpc
import psutil
import pytest

from serving.torchserve.errors import TorchServeError
from serving.torchserve.inference import TorchServeInference
from serving.torchserve.keys import Keys
from serving.torchserve.process import Instance, TorchServeSettings, start_instance, stop_instance
from serving.torchserve.registration import register_version
from tests.serving.support import ask, assert_gone, build_archive

pytestmark = pytest.mark.integration


@pytest.fixture
def runtime(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where TorchServe's private folders go; its path is short, as it must be."""
    folder = tmp_path_factory.mktemp("run")
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


@pytest.fixture
def settings(tmp_path: Path, runtime: Path) -> TorchServeSettings:
    assert list(runtime.iterdir()) == []
    return TorchServeSettings(model_store=tmp_path / "store", log_dir=tmp_path / "logs")


def listening_ports(process: psutil.Process) -> set[tuple[str, int]]:
    connections = process.net_connections(kind="tcp")
    return {(item.laddr.ip, item.laddr.port) for item in connections if item.status == psutil.CONN_LISTEN}


async def others_are_refused(instance: Instance) -> None:
    """Nothing that another user of the machine can reach registers, runs or unregisters an archive."""
    assert stat.S_IMODE(instance.folder.stat().st_mode) == 0o700, "its sockets and keys lie there"
    assert stat.S_IMODE((instance.folder / "key_file.json").stat().st_mode) == 0o600
    assert instance.keys.inference not in repr(instance)
    inference, management = "inference.InferenceAPIsService", "management.ManagementAPIsService"
    for _, port in listening_ports(psutil.Process(instance.pid)):
        target = f"127.0.0.1:{port}"
        if target in instance.metrics_url:
            continue
        service, good = inference, instance.keys.inference
        if target != instance.inference_target:
            service, good = management, instance.keys.management
        for method in METHODS[service]:
            for key in {"", "guessed", instance.keys.inference, instance.keys.management} - {good}:
                assert await called(target, f"{service}/{method}", key) is grpc.StatusCode.PERMISSION_DENIED
        # So that the refusals are those of the key, and not of the port or of the method.
        assert await called(target, f"{service}/{METHODS[service][0]}", good) is grpc.StatusCode.OK
    with pytest.raises(TorchServeError, match=r"Token Authorization failed|HTTP 400"):
        await dataclasses.replace(
            instance.management, keys=Keys(management="guessed", inference="guessed")
        ).list_models()
    store = Path(psutil.Process(instance.pid).cwd())
    for url in (f"file://{store}/%2e%2e/evil.mar", f"file://{store}/m_1.mar", "http://127.0.0.1:9/m.mar", "../m_1.mar"):
        with pytest.raises(TorchServeError, match="could not load"):
            await instance.management.begin_registration(url, model="evil", version="1", workers=1)
    assert await instance.management.list_models() == ("m",)


METHODS = {
    "inference.InferenceAPIsService": ("Ping", "Predictions"),
    "management.ManagementAPIsService": ("ListModels", "RegisterModel", "ScaleWorker", "UnregisterModel"),
}
"""Methods of TorchServe's gRPC services; the first of each needs no content."""


async def called(target: str, method: str, key: str) -> grpc.StatusCode:
    metadata = (("authorization", f"Bearer {key}"),) if key else ()
    async with grpc.aio.insecure_channel(target) as channel:
        call: Any = channel.unary_unary(f"/org.pytorch.serve.grpc.{method}")
        try:
            await call(b"", metadata=metadata, timeout=10)
        except grpc.aio.AioRpcError as failure:
            return failure.code()
    return grpc.StatusCode.OK


def test_torchserve_starts_on_loopback_and_leaves_no_process_no_port_and_no_folder(
    settings: TorchServeSettings, runtime: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # In this locale a JVM by itself finds no file below a folder of this name.
    monkeypatch.setenv("LC_ALL", "C")
    settings = dataclasses.replace(settings, model_store=settings.model_store / "é")

    async def scene() -> tuple[list[psutil.Process], set[tuple[str, int]]]:
        instance = await start_instance(settings)
        try:
            return await use(instance)
        finally:
            await stop_instance(instance, settings)

    async def use(instance: Instance) -> tuple[list[psutil.Process], set[tuple[str, int]]]:
        management = instance.management
        assert await management.list_models() == ()
        assert await management.describe("m") == ()
        await register_version(instance, "m_1.mar", model="m", version="1", workers=2, timeout_s=60)
        (version,) = await management.describe("m")
        assert (version.version, version.archive, version.batch_size) == ("1", "m_1.mar", 4)
        assert (version.num_ready, len(version.worker_pids)) == (2, 2)
        async with TorchServeInference(instance.inference_target, key=instance.keys.inference) as inference:
            answer = await inference.generate(ask(title="x"), model="m", version="1", timeout_s=10)
        assert answer.samples[0].text == "x"
        # Left over from an attempt that was cut off (HTTP 409), it is loaded again.
        await register_version(instance, "m_1.mar", model="m", version="1", workers=2, timeout_s=60)
        assert [each.num_ready for each in await management.describe("m")] == [2]
        await others_are_refused(instance)
        jvm = psutil.Process(instance.pid)
        assert [child.pid for child in psutil.Process(instance.guard.pid).children()] == [jvm.pid]
        return [jvm, *jvm.children(recursive=True)], listening_ports(jvm)

    build_archive(settings.model_store, "m", "1", batch_size=4)
    processes, ports = asyncio.run(scene())
    assert len(processes) == 3
    assert len(ports) == 3
    assert {address.removeprefix("::ffff:") for address, _ in ports} == {"127.0.0.1"}
    assert_gone(processes, timeout_s=0)
    for _, port in ports:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))
    assert list(runtime.iterdir()) == []


def test_the_metrics_page_is_on_the_port_that_was_asked_for_and_a_taken_one_is_said_and_a_killed_guard_leaves_no_folder(
    settings: TorchServeSettings, runtime: Path
) -> None:
    settings.model_store.mkdir()

    async def scene(port: int) -> str:
        instance = await start_instance(dataclasses.replace(settings, metrics_port=port))
        try:
            assert listening_ports(psutil.Process(instance.pid)) & {("127.0.0.1", port), ("::ffff:127.0.0.1", port)}
            return instance.metrics_url
        finally:
            instance.guard.kill()
            await stop_instance(instance, settings)

    with socket.create_server(("127.0.0.1", 0)) as owner:
        port = owner.getsockname()[1]
        with pytest.raises(TorchServeError, match=rf"port {port} .*in use.*--metrics-port"):
            asyncio.run(scene(port))
        assert list(runtime.iterdir()) == []
    assert asyncio.run(scene(port)) == f"http://127.0.0.1:{port}/metrics"
    assert list(runtime.iterdir()) == []


def test_a_jvm_that_does_not_start_is_quoted_and_leaves_nothing(settings: TorchServeSettings, runtime: Path) -> None:
    settings.model_store.mkdir()
    with pytest.raises(TorchServeError, match=r"during its start; its output:\n(.*\n)*.*[Hh]eap"):
        asyncio.run(start_instance(dataclasses.replace(settings, heap_mb=1)))
    assert list(runtime.iterdir()) == []


def test_a_log_folder_that_cannot_be_made_is_an_error(
    settings: TorchServeSettings, tmp_path: Path, runtime: Path
) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(TorchServeError, match="could not be started"):
        asyncio.run(start_instance(dataclasses.replace(settings, log_dir=tmp_path / "file" / "logs")))
    assert list(runtime.iterdir()) == []


@pytest.mark.parametrize("after_s", [0.0, 0.01, 0.4])
def test_a_start_that_is_given_up_leaves_nothing(settings: TorchServeSettings, runtime: Path, after_s: float) -> None:
    settings.model_store.mkdir()

    async def scene() -> list[psutil.Process]:
        others = psutil.Process().children(recursive=True)
        starting = asyncio.create_task(start_instance(settings))
        await asyncio.sleep(after_s)
        family = psutil.Process().children(recursive=True)
        starting.cancel()
        await asyncio.gather(starting, return_exceptions=True)
        return [process for process in family if process not in others]

    assert_gone(asyncio.run(scene()), timeout_s=0)
    assert list(runtime.iterdir()) == []


def test_a_temporary_folder_with_a_long_path_is_not_used(
    settings: TorchServeSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.model_store.mkdir()
    long = tmp_path / ("x" * 80)
    long.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(long))

    async def scene() -> str:
        instance = await start_instance(settings)
        folder = psutil.Process(instance.pid).cwd()
        await stop_instance(instance, settings)
        return folder

    folder = asyncio.run(scene())
    assert len(folder) < 93
    assert not Path(folder).exists()
    assert list(long.iterdir()) == []
