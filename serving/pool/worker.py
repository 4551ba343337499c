"""Program of one worker process: it loads the handler of an unpacked archive and answers the pool's calls.

    python -P worker.py FD PARENT

FD is one end of a pair of sockets, which the pool made and nobody else can open; PARENT is the pool's process id. A
version runs the code that it was packed with, so this program needs the standard library alone, and only the archive
comes before the installed packages on its path.

    pool -> worker   load: what to load; then call: rows for the handler
    worker -> pool   ready, or failed with the reason; then the answers of each call, or its error

A message is a frame: the lengths of two parts, a JSON document, and bytes to which the document's lengths refer.

The worker ends when the other end of its socket is closed, as it is when the pool's process ends. On Linux the kernel
also kills it then, whatever it is doing.
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib.util
import inspect
import json
import os
import signal
import socket
import struct
import sys
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

LENGTHS = struct.Struct("!II")
"""Head of a frame: bytes of the document, and of what follows it."""
MAX_FRAME_BYTES = 64 * 2**20
"""Limit of each part; the largest answers have a tenth of it."""
MAX_DOCUMENT_BYTES = 2**20
"""Limit of a document that a worker sends: the service reads it on the loop that answers everybody."""
_LONGEST_REASON = 10_000
DESCRIBE_HEADER = "describe"
"""Header of the call by which a handler is asked for its description."""

_PR_SET_PDEATHSIG = 1


def main(descriptor: int, parent: int) -> int:
    """Serve until the pool closes the socket; return the exit status."""
    _die_with(parent)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C in a terminal ends the pool, in its own order
    with socket.socket(fileno=descriptor) as channel:
        loading = read_frame(channel)
        if loading is None:
            return 0
        order = loading[0]
        try:
            _confine(order["writable"])
            worker = _Worker(order)
        except BaseException as fault:  # noqa: BLE001 - whatever the archive's code raises is the reason
            traceback.print_exc()
            reason = f"{type(fault).__name__}: {fault}"
            write_frame(channel, {"kind": "failed", "reason": reason[:_LONGEST_REASON]})
            return 1
        write_frame(channel, {"kind": "ready", "metrics": worker.metrics.taken()})
        while (call := read_frame(channel)) is not None:
            document, answers = worker.answer(*call)
            write_frame(channel, document, *answers)
    return 0


def pack_frame(document: Mapping[str, Any], *parts: bytes | bytearray) -> bytes:
    """Return a frame.

    Args:
        document: the document, which has to hold the length of each part.
        parts: the bytes that follow it.
    """
    encoded, blob = json.dumps(document, ensure_ascii=False).encode(), b"".join(parts)
    return LENGTHS.pack(len(encoded), len(blob)) + encoded + blob


def read_frame(channel: socket.socket) -> tuple[dict[str, Any], bytes] | None:
    """Read a frame; None at the end of the stream."""
    head = _read(channel, LENGTHS.size)
    if head is None:
        return None
    num_document, num_blob = LENGTHS.unpack(head)
    document, blob = _read(channel, num_document), _read(channel, num_blob)
    return None if document is None or blob is None else (json.loads(document), blob)


def write_frame(channel: socket.socket, document: Mapping[str, Any], *parts: bytes) -> None:
    """Write a frame; nothing happens if the pool has gone."""
    with contextlib.suppress(OSError):
        channel.sendall(pack_frame(document, *parts))


def split(blob: bytes, lengths: Sequence[int]) -> list[bytes]:
    """Cut bytes into parts of these lengths.

    >>> split(b"abcde", [2, 0, 3])
    [b'ab', b'', b'cde']

    Raises:
        ValueError: the lengths do not add up.
    """
    if sum(lengths) != len(blob) or any(length < 0 for length in lengths):
        raise ValueError(f"{len(blob)} bytes cannot be cut into parts of {lengths}")
    parts, begin = [], 0
    for length in lengths:
        parts.append(blob[begin : begin + length])
        begin += length
    return parts


def _read(channel: socket.socket, count: int) -> bytes | None:
    received = bytearray()
    while len(received) < count:
        more = channel.recv(min(count - len(received), 2**20))
        if not more:
            return None
        received += more
    return bytes(received)


def _die_with(parent: int) -> None:
    """Let the kernel kill this process when the pool's ends."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it has ended before that
        os._exit(1)


def _confine(writable: Sequence[str] | None) -> None:
    """Let this process write into these folders alone, and reach no other process; None lets it do all."""
    if writable is None:
        return
    path = Path(__file__).parents[1] / "workers" / "confinement.py"
    spec = importlib.util.spec_from_file_location("_confinement", path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} cannot be loaded")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    if not module.confine(writable):
        sys.stderr.write("this kernel has no Landlock that keeps files: the worker is not confined\n")


class _Metric:
    """One metric of the metrics file, as a handler adds to it."""

    def __init__(self, name: str, taken: list[tuple[str, float, list[str]]]) -> None:
        self._name = name
        self._taken = taken

    def add_or_update(self, value: float, dimension_values: Sequence[str] = (), *_: object, **__: object) -> None:
        """Add to a counter, set a gauge, or observe a value, with the values of the metric's labels."""
        self._taken.append((self._name, float(value), [str(each) for each in dimension_values]))


class _Metrics:
    """Metrics by type and name, as a handler finds them in its context."""

    def __init__(self, names: Mapping[str, Sequence[str]]) -> None:
        self._taken: list[tuple[str, float, list[str]]] = []
        self.cache = {kind: {name: _Metric(name, self._taken) for name in found} for kind, found in names.items()}

    def taken(self) -> list[tuple[str, float, list[str]]]:
        """Return what was added since the last time."""
        taken, self._taken[:] = list(self._taken), []
        return taken


class _Context:
    """Surroundings of a handler, as it asks for them; the names are TorchServe's, for which handlers are written."""

    def __init__(self, order: Mapping[str, Any], metrics: _Metrics) -> None:
        self.model_name = order["model"]
        self.manifest = order["manifest"]
        self.model_yaml_config = order["config"]
        self.metrics = metrics
        self.system_properties = {
            "model_dir": order["folder"],
            "gpu_id": None,
            "batch_size": order["batch_size"],
            "server_name": "deephypebot",
        }
        self.headers: Mapping[str, str] = {}

    def get_request_header(self, _: int, key: str) -> str | None:
        return self.headers.get(key)

    def set_response_header(self, _: int, key: str, value: str) -> None:
        """Take a header that no answer has here."""

    def set_response_content_type(self, _: int, value: str) -> None:
        """Take a type that no answer has here."""

    def set_response_status(self, code: int = 200, phrase: str = "", idx: int = 0) -> None:
        """Take a status that no answer has here: errors are in the answers themselves."""


class _Worker:
    """Handler of a version, loaded and warm.

    Args:
        order: the document of the pool's first message.
    """

    def __init__(self, order: Mapping[str, Any]) -> None:
        self.metrics = _Metrics(order["metrics"])
        self._context = _Context(order, self.metrics)
        folder = order["folder"]
        sys.path.insert(0, folder)
        os.chdir(folder)
        module = importlib.import_module(Path(order["handler"]).stem)
        self._context.system_properties["gpu_id"] = _gpu_of(int(order["index"]))
        self._handle = _entry_point(module, self._context)

    def answer(self, document: Mapping[str, Any], blob: bytes) -> tuple[dict[str, Any], list[bytes]]:
        """Return the message with the answers to a call: its document, and the bytes of each answer."""
        self._context.headers = document["headers"]
        fields = [(index, name, size) for index, row in enumerate(document["rows"]) for name, size in row]
        rows: list[dict[str, bytearray]] = [{} for _ in document["rows"]]
        for (index, name, _), part in zip(fields, split(blob, [size for *_, size in fields]), strict=True):
            rows[index][name] = bytearray(part)
        try:
            answers = [_encoded(each) for _, each in zip(rows, self._handle(rows, self._context), strict=True)]
        except Exception:  # noqa: BLE001 - the worker stays, and those that asked are told
            traceback.print_exc()
            return {"kind": "raised", "metrics": self.metrics.taken()}, []
        lengths = [len(each) for each in answers]
        return {"kind": "answers", "lengths": lengths, "metrics": self.metrics.taken()}, answers


def _entry_point(module: ModuleType, context: _Context) -> Any:
    """Return the function that answers rows: the module's own `handle`, or that of its one class."""
    if callable(handle := getattr(module, "handle", None)):
        if callable(prepare := getattr(module, "initialize", None)):
            prepare(context)
        return handle
    own: list[Any] = [
        each for _, each in inspect.getmembers(module, inspect.isclass) if each.__module__ == module.__name__
    ]
    if len(own) != 1:
        raise TypeError(f"{module.__name__} must define one class or a function `handle`, got {len(own)} classes")
    handler = own[0]()
    handler.initialize(context)
    return handler.handle


def _gpu_of(index: int) -> int | None:
    """Return the GPU of the worker with this number; None without one, or where the archive does not use torch."""
    cuda = getattr(sys.modules.get("torch"), "cuda", None)
    count = cuda.device_count() if cuda is not None and cuda.is_available() else 0
    return index % count if count else None


def _encoded(answer: Any) -> bytes:
    if isinstance(answer, bytes | bytearray):
        return bytes(answer)
    return (answer if isinstance(answer, str) else json.dumps(answer)).encode()


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), int(sys.argv[2])))
