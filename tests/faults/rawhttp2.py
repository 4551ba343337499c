"""HTTP/2 by hand, for clients that no library would be: they read nothing, or send what is no call."""

from __future__ import annotations

import contextlib
import socket
import struct
from collections.abc import Iterator
from typing import Final

PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, SETTINGS = 0, 1, 4
_END_STREAM: Final = 1
_END_HEADERS: Final = 4
_INITIAL_WINDOW_SIZE: Final = 4
_PREFIX_OF_7_BITS: Final = 127


def frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    """A frame of a connection."""
    return struct.pack(">I", len(payload))[1:] + bytes((kind, flags)) + struct.pack(">I", stream) + payload


def literal(name: str, value: str | bytes) -> bytes:
    """A header as HPACK writes it without its tables."""
    content = value.encode() if isinstance(value, str) else value
    return b"\0" + _sized(name.encode()) + _sized(content)


def _sized(content: bytes) -> bytes:
    """A string behind its length, a number with a prefix of 7 bits."""
    if len(content) < _PREFIX_OF_7_BITS:
        return bytes((len(content),)) + content
    rest, digits = len(content) - _PREFIX_OF_7_BITS, bytearray((_PREFIX_OF_7_BITS,))
    while rest >= 128:
        digits.append(rest % 128 + 128)
        rest //= 128
    return bytes((*digits, rest)) + content


def unread_call(target: str, method: str | bytes, message: bytes, **more: bytes) -> bytes:
    """Bytes of a connection that makes a call and allows no byte of its answer."""
    headers: dict[str, str | bytes] = {
        ":method": "POST",
        ":scheme": "http",
        ":path": method,
        ":authority": target,
        "te": "trailers",
        "content-type": "application/grpc",
        **more,
    }
    block = b"".join(literal(name, value) for name, value in headers.items())
    body = b"\0" + struct.pack(">I", len(message)) + message
    return (
        PREFACE
        + frame(SETTINGS, 0, 0, struct.pack(">HI", _INITIAL_WINDOW_SIZE, 0))
        + frame(HEADERS, _END_HEADERS, 1, block)
        + frame(DATA, _END_STREAM, 1, body)
    )


def connect(target: str, *, timeout_s: float = 5) -> socket.socket:
    host, _, port = target.rpartition(":")
    return socket.create_connection((host, int(port)), timeout=timeout_s)


@contextlib.contextmanager
def connections(target: str, number: int, first: bytes) -> Iterator[list[socket.socket]]:
    """Open a number of connections, send the same bytes on each, and keep them for the length of the block."""
    opened: list[socket.socket] = []
    try:
        for _ in range(number):
            with contextlib.suppress(OSError):
                connection = connect(target, timeout_s=2)
                opened.append(connection)
                connection.sendall(first)
        yield opened
    finally:
        for each in opened:
            each.close()


def vanish(connection: socket.socket) -> None:
    """Close a connection as the system does when its program is gone: by a reset, without a goodbye."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()
