"""Client of TorchServe's management API: list, register, prefer and remove versions.

It uses the standard library's HTTP client: the calls are few and small, and each may block for as long as
a model takes to load, so a thread per call is enough.
"""

from __future__ import annotations

import http.client
import json
import socket
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, urlencode

from typing_extensions import override

from foundation.threads import in_thread
from serving.torchserve.errors import TorchServeError
from serving.torchserve.keys import Keys, bearer
from serving.workers.descriptions import WorkerDescription

_READY: Final = "READY"
_SUCCESS: Final = (http.client.OK, http.client.ACCEPTED)


@dataclass(frozen=True, slots=True, kw_only=True)
class DescribedWorker:
    """TorchServe's description of one worker."""

    id: str
    """Number that names its socket; a worker that is started again keeps it."""
    pid: int
    """Process id; of its last process if it is being started, and not positive before the first."""
    ready: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class DescribedVersion:
    """TorchServe's description of one version."""

    model: str
    version: str
    archive: str
    """File name in the model store."""
    batch_size: int
    workers: tuple[DescribedWorker, ...]
    """Workers in TorchServe's order, dead ones included."""

    @property
    def num_ready(self) -> int:
        """Number of workers that have loaded the version, as far as TorchServe knows."""
        return sum(worker.ready for worker in self.workers)

    @property
    def worker_pids(self) -> tuple[int, ...]:
        """Process ids of the workers."""
        return tuple(worker.pid for worker in self.workers if worker.pid > 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Management:
    """The management and health endpoints of one running TorchServe, on Unix sockets in its private folder."""

    management_socket: Path
    inference_socket: Path
    keys: Keys
    timeout_s: float = 10.0
    """Timeout of calls that load no model."""

    async def is_healthy(self) -> bool:
        """Return whether the server answers /ping. That covers no models: TorchServe is healthy without workers."""
        try:
            status, _ = await self._send("GET", "/ping", to_inference=True, timeout_s=2.0)
        except TorchServeError:
            return False
        return status == http.client.OK

    async def begin_registration(self, archive: str, *, model: str, version: str, workers: int) -> None:
        """Register an archive of the model store, whose workers load it afterwards; see `torchserve.registration`.

        A version that TorchServe already holds is removed first, with its requests in flight.

        Raises:
            TorchServeError: TorchServe refuses it.
        """
        path = "/models?" + urlencode({"url": archive, "initial_workers": workers, "synchronous": "false"})
        status, body = await self._send("POST", path, timeout_s=60.0)  # it unpacks the archive in this call
        if status == http.client.CONFLICT:
            await self.unregister(model, version)
            status, body = await self._send("POST", path, timeout_s=60.0)
        if status not in _SUCCESS:
            raise TorchServeError(f"TorchServe could not load {archive}: {_reason(status, body)}")

    async def describe(self, model: str) -> tuple[DescribedVersion, ...]:
        """Return all versions of a model; none if TorchServe does not hold it."""
        status, body = await self._send("GET", f"/models/{quote(model, safe='')}/all")
        if status == http.client.NOT_FOUND:
            return ()
        if status != http.client.OK:
            raise TorchServeError(f"TorchServe could not describe {model}: {_reason(status, body)}")
        try:
            return tuple(_described(entry) for entry in json.loads(body))
        except (ValueError, KeyError, TypeError) as cause:
            raise TorchServeError(f"TorchServe described {model} in an unknown way: {cause!r}") from cause

    async def describe_worker(self, model: str, version: str) -> WorkerDescription:
        """Fetch the description of a version's worker; the call waits in the queue of the version's requests.

        Raises:
            TorchServeError: the version does not exist, or its worker does not answer.
        """
        status, body = await self._send("GET", f"{_path(model, version)}?customized=true", timeout_s=30.0)
        if status != http.client.OK:
            raise TorchServeError(f"the worker of {model} {version} did not describe itself: {_reason(status, body)}")
        return WorkerDescription.from_document(json.loads(body)[0].get("customizedMetadata"))

    async def list_models(self) -> tuple[str, ...]:
        """Return the names of the models that TorchServe holds."""
        status, body = await self._send("GET", "/models?limit=1000")
        if status != http.client.OK:
            raise TorchServeError(f"TorchServe could not list its models: {_reason(status, body)}")
        try:
            return tuple(entry["modelName"] for entry in json.loads(body)["models"])
        except (ValueError, KeyError, TypeError) as cause:
            raise TorchServeError(f"TorchServe listed its models in an unknown way: {cause!r}") from cause

    async def set_default(self, model: str, version: str) -> None:
        """Make a version the one that TorchServe itself uses for requests without a version."""
        await self._expect_success("PUT", f"{_path(model, version)}/set-default", f"prefer {model} {version}")

    async def begin_scaling(self, model: str, version: str, workers: int) -> None:
        """Set the number of workers without waiting for them.

        TorchServe waits in a thread that answers other calls as well: while some calls wait, others hang.
        """
        query = urlencode({"min_worker": workers, "max_worker": workers})
        await self._expect_success("PUT", f"{_path(model, version)}?{query}", f"scale {model} {version} to {workers}")

    async def unregister(self, model: str, version: str) -> None:
        """Remove a version and drop its requests in flight; a version that does not exist is ignored."""
        status, body = await self._send("DELETE", _path(model, version), timeout_s=60.0)
        if status == http.client.FORBIDDEN:  # TorchServe keeps its default version as long as there are others
            others = [each.version for each in await self.describe(model) if each.version != version]
            if others:
                await self.set_default(model, others[-1])
                status, body = await self._send("DELETE", _path(model, version), timeout_s=60.0)
        if status not in (*_SUCCESS, http.client.NOT_FOUND):
            raise TorchServeError(f"TorchServe could not remove {model} {version}: {_reason(status, body)}")

    async def _expect_success(self, method: str, path: str, purpose: str, *, timeout_s: float | None = None) -> None:
        status, body = await self._send(method, path, timeout_s=timeout_s)
        if status not in _SUCCESS:
            raise TorchServeError(f"TorchServe could not {purpose}: {_reason(status, body)}")

    async def _send(
        self, method: str, path: str, *, to_inference: bool = False, timeout_s: float | None = None
    ) -> tuple[int, bytes]:
        """One request on a connection of its own; (status, body)."""
        address = self.inference_socket if to_inference else self.management_socket
        key = self.keys.inference if to_inference else self.keys.management
        return await in_thread(partial(_send_blocking, method, path, address, key, timeout_s or self.timeout_s))


class _UnixConnection(http.client.HTTPConnection):
    """HTTP over a Unix socket, which the standard library lacks."""

    def __init__(self, path: Path, timeout_s: float) -> None:
        super().__init__("localhost", timeout=timeout_s)
        self._path = path

    @override
    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


def _send_blocking(method: str, path: str, address: Path, key: str, timeout_s: float) -> tuple[int, bytes]:
    connection = _UnixConnection(address, timeout_s)
    try:
        connection.request(method, path, headers={"authorization": bearer(key)})
        response = connection.getresponse()
        return response.status, response.read()
    except TimeoutError as cause:
        raise TorchServeError(f"TorchServe did not answer {method} {path} within {timeout_s:g} s") from cause
    except (OSError, http.client.HTTPException) as cause:
        raise TorchServeError(f"TorchServe does not answer on {address}: {cause!r}") from cause
    finally:
        connection.close()


def _described(entry: dict[str, Any]) -> DescribedVersion:
    return DescribedVersion(
        model=entry["modelName"],
        version=entry["modelVersion"],
        archive=entry["modelUrl"],
        batch_size=int(entry["batchSize"]),
        workers=tuple(
            DescribedWorker(id=str(worker["id"]), pid=int(worker["pid"]), ready=worker["status"] == _READY)
            for worker in entry["workers"]
        ),
    )


def _path(model: str, version: str) -> str:
    return f"/models/{quote(model, safe='')}/{quote(version, safe='')}"


def _reason(status: int, body: bytes) -> str:
    try:
        return f"{json.loads(body)['message']} (HTTP {status})"
    except (ValueError, KeyError, TypeError):
        return f"HTTP {status}: {body[:200].decode(errors='replace')}"
