"""TorchServe as a child process: started, watched, and ended without leftovers.

The JVM is started directly, with the flags that TorchServe's own launcher uses: SIGTERM to `torchserve --foreground`
orphans the JVM. It runs under `serving.torchserve.guard`, in a session of its own, so that Ctrl-C in a terminal does
not reach it before the gateway has drained.

TorchServe keeps a pid file and sockets in its temporary folder and puts its working directory first on the class path,
so each instance gets a fresh private folder for both. Everything listens on loopback, on ports that were free.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import logging
import os
import shutil
import socket
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from foundation.defaults import LOOPBACK
from foundation.processors import num_processors
from handlers.contract import THREADS_FILE_VARIABLE
from serving.errors import TorchServeError
from serving.torchserve import guard
from serving.torchserve.java import find_java
from serving.torchserve.management import Management

_log = logging.getLogger(__name__)

_PORTS: Final = ("inference", "management", "metrics", "grpc_inference", "grpc_management")
_PORT_ATTEMPTS: Final = 3
_LOG_CONFIG: Final = Path(__file__).with_name("log4j2.xml")
_METRICS_CONFIG: Final = Path(__file__).with_name("metrics.yaml")
_THREADS_FILE: Final = "threads"
_CONSOLE_LOG: Final = "console.log"
_FOLDER_PREFIX: Final = "deephypebot-"
_MAX_PARENT: Final = 70
"""Bytes: a Unix socket's path has at most 107 (103 on macOS), and /deephypebot-12345678/.ts.sock.9000 is 35 of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TorchServeSettings:
    """How TorchServe is run."""

    model_store: Path
    """Folder of the archives."""
    log_dir: Path
    """Folder of TorchServe's logs, which outlive it; at most 30 MB."""
    heap_mb: int = 256
    """The JVM's heap; its own default is a quarter of the machine's memory."""
    metrics_port: int = 0
    """Where its Prometheus page is to be found; 0 takes any free one."""
    job_queue_size: int = 1024
    """Requests that TorchServe holds per version. The gateway bounds what it sends, so this is never the limit."""
    start_timeout_s: float = 60.0
    stop_grace_s: float = 1.0
    """Between SIGTERM and SIGKILL. Short: the gateway has drained by then, the JVM keeps nothing that matters, and left
    to itself it takes seconds to wait for nothing."""
    restart_backoff_s: tuple[float, float] = (0.2, 10.0)
    """Pause before the first restart, and the longest; doubles while restarts keep failing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Instance:
    """One running TorchServe."""

    guard: asyncio.subprocess.Process = field(repr=False)
    pid: int
    """The JVM's."""
    management: Management
    inference_target: str
    """Where its gRPC inference service listens."""
    metrics_url: str
    """Its Prometheus page, with what the workers count."""
    threads_file: Path
    """Where its workers look how many threads each may use."""


async def start_instance(settings: TorchServeSettings) -> Instance:
    """Start TorchServe and wait until it answers.

    Raises:
        JavaMissingError: there is no Java runtime.
        TorchServeError: TorchServe is not installed, dies, or does not answer in time.
    """
    jar = _find_jar()
    java = find_java()
    for attempt in range(1, _PORT_ATTEMPTS + 1):
        try:
            return await _start_once(settings, java, jar)
        except _PortTakenError:
            # Somebody took one of the ports between our look and the JVM's.
            if attempt == _PORT_ATTEMPTS:
                raise
    raise AssertionError


class _PortTakenError(TorchServeError):
    pass


async def stop_instance(instance: Instance, settings: TorchServeSettings) -> None:
    """Stop the JVM and its workers, and wait until they are gone."""
    await _end_guard(instance.guard, settings.stop_grace_s)


async def _start_once(settings: TorchServeSettings, java: Path, jar: Path) -> Instance:
    ports = dict(zip(_PORTS, _free_ports(len(_PORTS)), strict=True))
    if settings.metrics_port:
        ports["metrics"] = _checked_port(settings.metrics_port)
    folder = _make_runtime_folder()
    try:
        settings.log_dir.mkdir(parents=True, exist_ok=True)
        (folder / "config.properties").write_text(_properties(settings, ports))
        process = await _spawn(settings, _command(settings, java, jar, folder), folder)
    except OSError as cause:
        shutil.rmtree(folder, ignore_errors=True)
        raise TorchServeError(f"TorchServe could not be started: {cause}") from cause
    management = Management(host=LOOPBACK, management_port=ports["management"], inference_port=ports["inference"])
    try:
        await _wait_until_healthy(process, management, settings)
        pid = int((folder / guard.PID_FILE).read_text())
    except BaseException:
        await _end_guard(process, settings.stop_grace_s)
        raise
    return Instance(
        guard=process,
        pid=pid,
        management=management,
        inference_target=f"{LOOPBACK}:{ports['grpc_inference']}",
        metrics_url=f"http://{LOOPBACK}:{ports['metrics']}/metrics",
        threads_file=folder / _THREADS_FILE,
    )


async def _spawn(settings: TorchServeSettings, command: list[str], folder: Path) -> asyncio.subprocess.Process:
    """Start the guard. Cancelled, it ends the guard in order: asyncio would kill it, and its folder would stay."""
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
    process: asyncio.subprocess.Process, management: Management, settings: TorchServeSettings
) -> None:
    deadline = time.monotonic() + settings.start_timeout_s
    while not await management.is_healthy():
        if process.returncode is not None:
            said = _tail(settings.log_dir / _CONSOLE_LOG)
            kind = _PortTakenError if "Address already in use" in said else TorchServeError
            raise kind(f"TorchServe ended with status {process.returncode} while it started; it said:\n{said}")
        if time.monotonic() > deadline:
            raise TorchServeError(
                f"TorchServe did not answer within {settings.start_timeout_s:g} s; its logs are in {settings.log_dir}"
            )
        await asyncio.sleep(0.05)


async def _end_guard(process: asyncio.subprocess.Process, grace_s: float) -> None:
    """Closing the pipe is the guard's sign to end everything."""
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
        # Java 21 reads the limit of its own control group only, and sizes its pools for the host if that has none.
        f"-XX:ActiveProcessorCount={num_processors()}",
        # What it does for a batch is little. Compiling that for the last bit of speed takes cores from the decode for
        # minutes and never gives them back: quick compilation serves 7% more samples.
        "-XX:TieredStopAtLevel=1",
        "-XX:MaxDirectMemorySize=128m",
        f"-Djava.io.tmpdir={folder}",
        f"-Dlog4j.configurationFile={_LOG_CONFIG.as_uri()}",
        f"-Dmodel_server_home={jar.parents[2]}",
        *("-cp", str(jar)),
        "org.pytorch.serve.ModelServer",
        *("--python", sys.executable),
        *("-f", str(folder / "config.properties")),
        *("-s", str(settings.model_store.resolve())),
        "-ncs",
        "--disable-token-auth",  # its keys expire, and renewing one cuts off who holds the old; loopback is the fence
        "--enable-model-api",
    ]


def _properties(settings: TorchServeSettings, ports: Mapping[str, int]) -> str:
    lines = {
        "inference_address": f"http://{LOOPBACK}:{ports['inference']}",
        "management_address": f"http://{LOOPBACK}:{ports['management']}",
        "metrics_address": f"http://{LOOPBACK}:{ports['metrics']}",
        "grpc_inference_address": LOOPBACK,
        "grpc_inference_port": ports["grpc_inference"],
        "grpc_management_address": LOOPBACK,
        "grpc_management_port": ports["grpc_management"],
        "enable_model_api": "true",
        "job_queue_size": settings.job_queue_size,
        "default_workers_per_model": 1,
        "number_of_netty_threads": 2,
        "netty_client_threads": 2,
        "metrics_mode": "prometheus",
        "metrics_config": _METRICS_CONFIG,
        "disable_system_metrics": "true",
        # Archives come from the model store by name; nothing is ever fetched by TorchServe itself.
        "allowed_urls": f"file://{settings.model_store.resolve()}/.*",
    }
    return "".join(f"{key}={value}\n" for key, value in lines.items())


def _environment(
    base: Mapping[str, str], *, java_home: Path, folder: Path, settings: TorchServeSettings
) -> dict[str, str]:
    # TorchServe lets TS_ variables override its configuration file; one left over from a shell must not.
    inherited = {key: value for key, value in base.items() if not key.startswith("TS_")}
    return {
        # Threads of a decode that wait should not spin on cores that other workers use.
        "OMP_WAIT_POLICY": "PASSIVE",
        **inherited,
        "JAVA_HOME": str(java_home),
        "TMPDIR": str(folder),
        "TEMP": str(folder),
        "LOG_LOCATION": str(settings.log_dir.resolve()),
        "METRICS_LOCATION": str(settings.log_dir.resolve()),
        THREADS_FILE_VARIABLE: str(folder / _THREADS_FILE),
    }


def _make_runtime_folder() -> Path:
    """A fresh private folder whose path is short enough for the sockets that TorchServe makes in it."""
    for parent in (tempfile.gettempdir(), "/tmp", "/var/tmp"):  # noqa: S108 - mkdtemp makes it private
        if len(os.fsencode(parent)) <= _MAX_PARENT and os.access(parent, os.W_OK):
            return Path(tempfile.mkdtemp(prefix=_FOLDER_PREFIX, dir=parent))
    raise TorchServeError(
        f"TorchServe needs a temporary folder that can be written and whose path has at most {_MAX_PARENT} bytes "
        f"(it makes Unix sockets there); {tempfile.gettempdir()} is none: set TMPDIR"
    )


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(count)]
        for probe in sockets:
            probe.bind((LOOPBACK, 0))
        return [int(probe.getsockname()[1]) for probe in sockets]


def _checked_port(port: int) -> int:
    """A port that somebody asked for, tried before the JVM tries: of one that is taken it says nothing for people."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # one that was just left is free
        try:
            probe.bind((LOOPBACK, port))
        except OSError as cause:
            raise TorchServeError(
                f"port {port} on {LOOPBACK} cannot be TorchServe's for metrics ({cause.strerror}): choose another with "
                "--metrics-port or DEEPHYPEBOT_METRICS_PORT"
            ) from cause
    return port


def _tail(path: Path, num_lines: int = 12) -> str:
    return "\n".join(path.read_text(errors="replace").splitlines()[-num_lines:]) or "(nothing)"
