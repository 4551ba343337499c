"""One worker process: started, asked, ended.

It is spoken to over a pair of connected sockets that nobody else can open. The kernel closes the worker's end however
the service ends, and the worker ends with it (`serving.pool.worker`).
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Self

from handlers.contract import KERNEL_CACHE_VARIABLE, THREADS_FILE_VARIABLE
from serving.errors import WorkerHostError
from serving.pool import worker
from serving.pool.archive import ArchiveFolder
from serving.pool.logs import WORKERS_LOG, WorkersLog
from serving.pool.metrics import PoolMetrics
from serving.workers.environment import without_secrets

_READ_LIMIT: Final = 2**20
_SHARED_MEMORY: Final = "/dev/shm"  # noqa: S108 - where shared memory is on Linux
_CACHES: Final = {"TRITON_CACHE_DIR": "triton", KERNEL_CACHE_VARIABLE: "kernels"}
"""Variables with the folders in which compiled code is kept, and the names of those that the workers of a pool share by
default."""


def caches(temporary: Path) -> dict[str, Path]:
    """Return the folders in which workers keep compiled code, by the variable that tells them so.

    Args:
        temporary: folder for their temporary files.
    """
    return {name: Path(os.environ.get(name) or temporary / folder) for name, folder in _CACHES.items()}


class WorkerLostError(Exception):
    """The worker ended, or sent what nobody can read, before it had answered."""


class HandlerRaisedError(Exception):
    """The handler raised an exception; the worker stays."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """Things that all workers of a pool share."""

    threads_file: Path
    temporary: Path
    """Folder for their temporary files."""
    log: WorkersLog
    metrics: PoolMetrics
    stop_grace_s: float
    is_confined: bool = True
    """Whether workers may write nothing outside of the folders of `writable` (`serving.workers.confinement`)."""

    @property
    def writable(self) -> list[str] | None:
        """Folders in which workers may write; None for wherever their user may."""
        if not self.is_confined:
            return None
        return [str(self.temporary), _SHARED_MEMORY, *map(str, caches(self.temporary).values())]

    def environment(self) -> dict[str, str]:
        """Return the variables of a worker."""
        return {
            # Idle threads of a decode should not spin on cores that other workers use.
            "OMP_WAIT_POLICY": "PASSIVE",
            **without_secrets(os.environ),
            "PYTHONUNBUFFERED": "1",
            "TMPDIR": str(self.temporary),
            **{name: str(folder) for name, folder in caches(self.temporary).items()},
            THREADS_FILE_VARIABLE: str(self.threads_file),
        }


@dataclass(slots=True, kw_only=True, eq=False)
class WorkerProcess:
    """A worker process, which has not loaded its version at first."""

    process: asyncio.subprocess.Process
    _reader: asyncio.StreamReader = field(repr=False)
    _writer: asyncio.StreamWriter = field(repr=False)
    _shared: Surroundings = field(repr=False)

    @property
    def pid(self) -> int:
        """Process id."""
        return self.process.pid

    @property
    def has_ended(self) -> bool:
        """Whether the process has ended."""
        return self.process.returncode is not None

    @classmethod
    async def start(cls, shared: Surroundings, name: str) -> Self:
        """Start a process.

        Args:
            shared: what it shares with the others.
            name: name of the worker in the log.

        Raises:
            OSError: the machine has no process or descriptor left.
        """
        ours, theirs = socket.socketpair()
        with contextlib.ExitStack() as stack:
            stack.enter_context(theirs)
            on_fault = stack.enter_context(contextlib.ExitStack())
            on_fault.callback(ours.close)
            output, written = os.pipe()
            stack.callback(os.close, written)
            shared.log.follow(output, name)  # it ends with the last writing end
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-P", worker.__file__, str(theirs.fileno()), str(os.getpid())),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=written,
                stderr=written,
                pass_fds=(theirs.fileno(),),
                env=shared.environment(),
                start_new_session=True,  # so that what a handler starts can be ended with it
            )
            reader, writer = await asyncio.open_connection(sock=ours, limit=_READ_LIMIT)
            on_fault.pop_all()
        return cls(process=process, _reader=reader, _writer=writer, _shared=shared)

    async def load(self, archive: ArchiveFolder, *, model: str, index: int) -> None:
        """Let it load a version, and wait until it is warm.

        Raises:
            WorkerHostError: it cannot load it; the message has the reason.
        """
        order = {
            "kind": "load",
            "model": model,
            "folder": str(archive.folder),
            "handler": archive.handler,
            "manifest": archive.manifest,
            "config": archive.config,
            "batch_size": archive.batch_size,
            "index": index,
            "writable": self._shared.writable,
            "metrics": self._shared.metrics.names,
        }
        place = f"its traceback is in {WORKERS_LOG}"
        try:
            self._writer.write(worker.pack_frame(order))
            document, _ = await self._receive()
        except WorkerLostError as cause:
            status = await self.process.wait()
            how = f"signal {signal.Signals(-status).name}" if status < 0 else f"status {status}"
            raise WorkerHostError(f"a worker ended with {how} while it loaded; {place}") from cause
        if document.get("kind") != "ready":
            raise WorkerHostError(f"{document.get('reason', 'it gave no reason')}; {place}")
        self._shared.metrics.add(document.get("metrics", ()))

    async def ask(
        self, rows: Sequence[Mapping[str, bytes]], *, timeout_s: float, headers: Mapping[str, str]
    ) -> list[bytes]:
        """Return the handler's answer to each row of a call. A worker that does not answer in time is killed.

        Args:
            rows: fields of each row, by name.
            timeout_s: time for the answers.
            headers: headers of the call.

        Raises:
            HandlerRaisedError: the handler raised an exception.
            WorkerLostError: the worker ended.
            TimeoutError: the worker did not answer in time.
        """
        sizes = [[[name, len(value)] for name, value in row.items()] for row in rows]
        document = {"kind": "call", "rows": sizes, "headers": headers}
        self._writer.write(worker.pack_frame(document, *(value for row in rows for value in row.values())))
        try:
            async with asyncio.timeout(timeout_s):
                answer, blob = await self._receive()
        except TimeoutError:
            self.kill()
            raise
        self._shared.metrics.add(answer.get("metrics", ()))
        if answer.get("kind") != "answers":
            raise HandlerRaisedError
        try:
            parts = worker.split(blob, answer["lengths"])
        except (KeyError, TypeError, ValueError) as cause:
            self.kill()
            raise WorkerLostError from cause
        if len(parts) != len(rows):
            self.kill()
            raise WorkerLostError
        return parts

    def kill(self) -> None:
        """Kill the process and what it started."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)

    async def end(self) -> None:
        """Close the connection, on which the worker ends, and wait; after some time it is killed."""
        self._writer.close()
        try:
            async with asyncio.timeout(self._shared.stop_grace_s):
                await self.process.wait()
        except TimeoutError:
            pass
        finally:
            self.kill()  # and what it left behind
            await self.process.wait()

    async def _receive(self) -> tuple[dict[str, Any], bytes]:
        try:
            sizes = worker.LENGTHS.unpack(await self._reader.readexactly(worker.LENGTHS.size))
            if sizes[0] <= worker.MAX_DOCUMENT_BYTES and sizes[1] <= worker.MAX_FRAME_BYTES:
                document, blob = [await self._reader.readexactly(size) for size in sizes]
                decoded = json.loads(document)
                if isinstance(decoded, dict):
                    return decoded, blob
        except (asyncio.IncompleteReadError, ConnectionError, ValueError, RecursionError) as cause:
            self.kill()
            raise WorkerLostError from cause
        # The code of an archive has the socket, too, and nothing that comes out of it is believed.
        self.kill()
        raise WorkerLostError
