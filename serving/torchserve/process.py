"""TorchServe as a child process: started, and ended without leftovers.

The JVM is started directly, with the flags that TorchServe's own launcher uses: SIGTERM to `torchserve --foreground`
orphans the JVM. It runs under `serving.torchserve.guard`, in a session of its own, so that Ctrl-C in a terminal does
not reach it before the gateway has drained.

TorchServe keeps a pid file and sockets in its temporary folder and puts its working directory first on the class path,
so each instance gets a new private folder for both. Its two HTTP interfaces listen on Unix sockets in that folder,
which no other user can enter. gRPC and the metrics have no such choice: they listen on loopback, on ports that were
free, and gRPC answers those alone who show the instance's own key.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import logging
import os
import shutil
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from foundation.defaults import LOOPBACK
from foundation.private_files import make_private
from foundation.processors import num_processors
from foundation.threads import in_thread
from handlers.contract import THREADS_FILE_VARIABLE
from serving.torchserve import guard
from serving.torchserve.errors import TorchServeError
from serving.torchserve.java import find_java
from serving.torchserve.keys import LIFE_MIN, Keys
from serving.torchserve.management import Management
from serving.torchserve.ports import checked_port, free_ports
from serving.torchserve.runtime_folder import CONFIG_FILE, make_runtime_folder
from serving.workers.environment import without_secrets

_log = logging.getLogger(__name__)

_PORTS: Final = ("metrics", "grpc_inference", "grpc_management")
_PORT_ATTEMPTS: Final = 3
_LOG_CONFIG: Final = Path(__file__).with_name("log4j2.xml")
_METRICS_CONFIG: Final = Path(__file__).parents[1] / "workers" / "metrics.yaml"
_UTF8_LOCALE: Final = "C.UTF-8"
_THREADS_FILE: Final = "threads"
_INFERENCE_SOCKET: Final = "inference.sock"
_MANAGEMENT_SOCKET: Final = "management.sock"
_CONSOLE_LOG: Final = "console.log"
_RUN: Final = "run"
"""Folder beside the logs for what TorchServe needs while it runs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TorchServeSettings:
    """Settings of TorchServe."""

    model_store: Path
    """Folder of the archives."""
    log_dir: Path
    """Folder of TorchServe's logs, which are kept after it ends; at most 30 MB."""
    heap_mb: int = 256
    """Size of the JVM's heap; the JVM's own default is a quarter of the machine's memory."""
    metrics_port: int = 0
    """Port of TorchServe's Prometheus page; 0 takes any free one."""
    job_queue_size: int = 1024
    """Requests that TorchServe holds per version. The gateway sends fewer, so this limit is never reached."""
    start_timeout_s: float = 60.0
    stop_grace_s: float = 1.0
    """Time between SIGTERM and SIGKILL. Short, because the gateway has drained by then, the JVM holds no state, and its
    own shutdown waits for seconds without need."""
    restart_backoff_s: tuple[float, float] = (0.2, 10.0)
    """First and longest pause before a restart; the pause doubles while restarts fail."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Instance:
    """One running TorchServe."""

    guard: asyncio.subprocess.Process = field(repr=False)
    pid: int
    """Process id of the JVM."""
    management: Management
    inference_target: str
    """Address of its gRPC inference service."""
    keys: Keys
    """Keys that its interfaces ask for."""
    metrics_url: str
    """Address of its Prometheus page, with the metrics of the workers."""
    folder: Path
    """Its private folder. Without it no worker can start."""
    threads_file: Path
    """File in which its workers read the number of threads that each may use."""


async def start_instance(settings: TorchServeSettings) -> Instance:
    """Start TorchServe and wait until it answers.

    Raises:
        JavaMissingError: Java is not installed.
        TorchServeError: TorchServe is not installed, dies, or does not answer in time.
    """
    for attempt in range(1, _PORT_ATTEMPTS + 1):
        try:
            return await _start_once(settings, find_java(), _find_jar())
        except _PortTakenError:
            # Another process took one of the ports between the check and the start of the JVM.
            if attempt == _PORT_ATTEMPTS:
                raise
        except (OSError, ValueError) as cause:  # a full disk or no descriptor left, in whichever step
            raise TorchServeError(f"TorchServe could not be started: {cause}") from cause
    raise AssertionError


class _PortTakenError(TorchServeError):
    pass


async def remove_folder(instance: Instance) -> None:
    """Remove the folder of a TorchServe that has ended: its guard does so, unless it was killed itself."""
    await in_thread(lambda: shutil.rmtree(instance.folder, ignore_errors=True))


async def stop_instance(instance: Instance, settings: TorchServeSettings) -> None:
    """Stop the JVM and its workers, and wait until they are gone."""
    await _end_guard(instance.guard, settings.stop_grace_s)
    await remove_folder(instance)


async def _start_once(settings: TorchServeSettings, java: Path, jar: Path) -> Instance:
    ports = dict(zip(_PORTS, free_ports(len(_PORTS)), strict=True))
    if settings.metrics_port:
        ports["metrics"] = checked_port(settings.metrics_port)
    make_private(settings.log_dir)
    folder = make_runtime_folder(settings.log_dir / _RUN)
    try:
        (folder / CONFIG_FILE).write_text(_properties(settings, ports, folder))
        process = await _spawn(settings, _command(settings, java, jar, folder), folder)
    except Exception:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    try:
        management = await _wait_until_healthy(process, folder, settings, ports["grpc_inference"])
        pid = int((folder / guard.PID_FILE).read_text())
    except BaseException:
        await _end_guard(process, settings.stop_grace_s)
        raise
    return Instance(
        guard=process,
        pid=pid,
        management=management,
        inference_target=f"{LOOPBACK}:{ports['grpc_inference']}",
        keys=management.keys,
        metrics_url=f"http://{LOOPBACK}:{ports['metrics']}/metrics",
        folder=folder,
        threads_file=folder / _THREADS_FILE,
    )


async def _spawn(settings: TorchServeSettings, command: list[str], folder: Path) -> asyncio.subprocess.Process:
    """Start the guard. On cancellation it is ended in order: asyncio would kill it, and its folder would stay."""
    with (settings.log_dir / _CONSOLE_LOG).open("wb") as console:
        spawning = asyncio.create_task(
            asyncio.create_subprocess_exec(
                *(sys.executable, "-I", "-S", guard.__file__, str(settings.stop_grace_s), str(folder), *command),
                stdin=asyncio.subprocess.PIPE,
                stdout=console,
                stderr=console,
                cwd=folder,
                env=_environment(
                    os.environ, java_home=Path(command[0]).parent.parent, folder=folder, settings=settings
                ),
                start_new_session=True,
            )
        )
        try:
            return await asyncio.shield(spawning)
        except asyncio.CancelledError:
            await _end_guard(await spawning, settings.stop_grace_s)
            raise


async def _wait_until_healthy(
    process: asyncio.subprocess.Process, folder: Path, settings: TorchServeSettings, grpc_port: int
) -> Management:
    deadline = time.monotonic() + settings.start_timeout_s
    while True:
        keys = Keys.read(folder)
        if keys is not None:
            management = Management(
                management_socket=folder / _MANAGEMENT_SOCKET, inference_socket=folder / _INFERENCE_SOCKET, keys=keys
            )
            # It answers over HTTP a moment before it listens for gRPC.
            if await management.is_healthy() and await _listens(grpc_port):
                return management
        if process.returncode is not None:
            output = _tail(settings.log_dir / _CONSOLE_LOG)
            kind = _PortTakenError if "Address already in use" in output else TorchServeError
            raise kind(f"TorchServe ended with status {process.returncode} during its start; its output:\n{output}")
        if time.monotonic() > deadline:
            raise TorchServeError(
                f"TorchServe did not answer within {settings.start_timeout_s:g} s; its logs are in {settings.log_dir}"
            )
        await asyncio.sleep(0.05)


async def _listens(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection(LOOPBACK, port)
    except OSError:
        return False
    writer.close()
    return True


async def _end_guard(process: asyncio.subprocess.Process, grace_s: float) -> None:
    """Close the pipe, on which the guard ends everything, and wait for the guard."""
    if process.stdin is not None:
        process.stdin.close()
        with contextlib.suppress(OSError):
            await process.stdin.wait_closed()
    try:
        await asyncio.wait_for(process.wait(), grace_s + 5)
    except TimeoutError:
        _log.error("the guard of TorchServe (pid %d) does not end; killing it, and with it the JVM", process.pid)
        process.kill()
        await process.wait()


def _find_jar() -> Path:
    spec = importlib.util.find_spec("ts")
    jar = Path(spec.origin).parent / "frontend" / "model-server.jar" if spec and spec.origin else None
    if jar is None or not jar.is_file():
        raise TorchServeError("TorchServe is not installed: `pip install deephypebot[serve]`")
    return jar


def _command(settings: TorchServeSettings, java: Path, jar: Path, folder: Path) -> list[str]:
    return [
        str(java),
        f"-Xmx{settings.heap_mb}m",
        "-XX:+UseSerialGC",
        # Not every release of Java finds a limit above its own control group; others size their pools for the host.
        f"-XX:ActiveProcessorCount={num_processors()}",
        # The JVM does little work per batch, and its optimizing compiler takes cores from the decode for minutes that
        # are never earned back: with the quick compiler alone, 7% more samples are served.
        "-XX:TieredStopAtLevel=1",
        "-XX:MaxDirectMemorySize=128m",
        f"-Djava.io.tmpdir={folder}",
        f"-Dlog4j.configurationFile={_LOG_CONFIG.as_uri()}",
        f"-Dmodel_server_home={jar.parents[2]}",
        *("-cp", str(jar)),
        "org.pytorch.serve.ModelServer",
        *("--python", sys.executable),
        *("-f", str(folder / CONFIG_FILE)),
        *("-s", str(settings.model_store.resolve())),
        "-ncs",
        "--enable-model-api",
    ]


def _properties(settings: TorchServeSettings, ports: Mapping[str, int], folder: Path) -> str:
    lines = {
        "inference_address": f"unix:{folder / _INFERENCE_SOCKET}",
        "management_address": f"unix:{folder / _MANAGEMENT_SOCKET}",
        "token_expiration_min": LIFE_MIN,
        "metrics_address": f"http://{LOOPBACK}:{ports['metrics']}",
        "grpc_inference_address": LOOPBACK,
        "grpc_inference_port": ports["grpc_inference"],
        "grpc_management_address": LOOPBACK,
        "grpc_management_port": ports["grpc_management"],
        "enable_model_api": "true",
        "job_queue_size": settings.job_queue_size,
        "default_workers_per_model": 1,
        # A call that waits for a version's workers holds one of them, and those that come to the same thread hang.
        "number_of_netty_threads": 8,
        "netty_client_threads": 2,
        "metrics_mode": "prometheus",
        "metrics_config": _METRICS_CONFIG,
        "disable_system_metrics": "true",
        # Archives are named by their place in the model store, never by a URL. A pattern that no URL has: TorchServe
        # looks for ".." before it decodes %2e, so one of the model store would let archives in from everywhere.
        "allowed_urls": "(?!)",
    }
    return "".join(f"{key}={value}\n" for key, value in lines.items())


def _environment(
    base: Mapping[str, str], *, java_home: Path, folder: Path, settings: TorchServeSettings
) -> dict[str, str]:
    # TorchServe lets TS_ variables override its configuration file; those of the caller's shell must not.
    inherited = {key: value for key, value in without_secrets(base).items() if not key.startswith("TS_")}
    # The JVM reads names of files by the locale: in the POSIX locale a model store below "é" would be empty to it.
    locale = next((base[name] for name in ("LC_ALL", "LC_CTYPE", "LANG") if base.get(name)), "")
    if "utf" not in locale.casefold():
        inherited["LC_ALL"] = _UTF8_LOCALE
    return {
        # Idle threads of a decode should not spin on cores that other workers use.
        "OMP_WAIT_POLICY": "PASSIVE",
        **inherited,
        "JAVA_HOME": str(java_home),
        "TMPDIR": str(folder),
        "TEMP": str(folder),
        "LOG_LOCATION": str(settings.log_dir.resolve()),
        "METRICS_LOCATION": str(settings.log_dir.resolve()),
        THREADS_FILE_VARIABLE: str(folder / _THREADS_FILE),
    }


def _tail(path: Path, num_lines: int = 12) -> str:
    return "\n".join(path.read_text(errors="replace").splitlines()[-num_lines:]) or "(nothing)"
