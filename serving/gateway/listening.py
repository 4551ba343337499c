"""Options of the gateway as it listens: its address, and bounds on what one connection and all of them may hold.

Keepalive agrees with that of `serving.client`: a client pings every 10 s, and pings at least 5 s apart are permitted. A
connection on which nothing is heard for 30 s is dropped, with the calls on it.
"""

from __future__ import annotations

import contextlib
import errno
import resource
import socket
from typing import Final

from foundation.loopback import is_loopback
from handlers.contract import MAX_BAD_WORDS, MAX_GENRES, MAX_TEXT_LENGTH
from serving.errors import PortInUseError, SecurityError, ServingError
from serving.security.settings import SecuritySettings

_SINGLE_TEXTS: Final = 8
"""Texts of a request besides genres and bad words: model, version, artist, title, topic, unit, request id and rule of
ranking."""
_TEXT_BYTES: Final = 4 * MAX_TEXT_LENGTH + 5
"""A text of 4-byte characters, its field number and its length."""
_NUMBERS_BYTES: Final = 200
"""The seed, the sampling parameters and all other numbers of a request."""
_TRACE_BYTES: Final = 55 + 512 + 8
"""Both headers of a trace's context, with their field numbers and lengths."""
LARGEST_REQUEST_BYTES: Final = (
    (MAX_GENRES + MAX_BAD_WORDS + _SINGLE_TEXTS) * _TEXT_BYTES + _TRACE_BYTES + _NUMBERS_BYTES
)
"""Size of the largest request that the contract allows."""
MAX_REQUEST_BYTES: Final = 2 * LARGEST_REQUEST_BYTES
"""Limit of a message. Larger ones are refused by their length, before their bytes are received, so that they take no
memory; those between both sizes are received, for an error that names the field."""
MAX_METADATA_BYTES: Final = 8 * 2**10

_MOST_DESCRIPTORS: Final = 65_536
"""More are of no use, and some programs that inherit the limit close every possible descriptor one by one."""
_FEW_DESCRIPTORS: Final = 4_096
_RESERVED_SHARE: Final = 4
"""One descriptor in so many is kept for the worker host, the registry, archives and logs."""
_LEAST_STREAMS: Final = 1_000
_STREAMS_PER_PLACE: Final = 4
_IDLE_S: Final = 300
_IDLE_WHERE_FEW_S: Final = 15
_HANDSHAKE_S: Final = 10
_CLIENT_PING_AT_LEAST_S: Final = 5
_PING_AFTER_S: Final = 20
_PING_TIMEOUT_S: Final = 10


def server_options(*, max_in_flight: int, max_descriptors: int) -> tuple[tuple[str, int], ...]:
    """Return the options of the gateway's gRPC server.

    Args:
        max_in_flight: concurrency limit of the gateway.
        max_descriptors: file descriptors that the process may have.
    """
    idle_s = _IDLE_S if max_descriptors >= _FEW_DESCRIPTORS else _IDLE_WHERE_FEW_S
    return (
        # Otherwise two gateways could share a port, and each would receive some of the other's requests.
        ("grpc.so_reuseport", 0),
        ("grpc.max_receive_message_length", MAX_REQUEST_BYTES),
        # gRPC would widen the window of a busy connection to megabytes a call, which 400 large messages fill. Without
        # its probe a call holds 64 KiB until the handler takes the message, and a ping for each call is saved as well.
        ("grpc.http2.bdp_probe", 0),
        ("grpc.max_metadata_size", MAX_METADATA_BYTES),
        ("grpc.absolute_max_metadata_size", 2 * MAX_METADATA_BYTES),
        # Calls above the concurrency limit are refused with a pause. Four times as many wait in their client, except in
        # the first moment of a connection, when gRPC breaks them off.
        ("grpc.max_concurrent_streams", max(_LEAST_STREAMS, _STREAMS_PER_PLACE * max_in_flight)),
        ("grpc.max_allowed_incoming_connections", max_descriptors - max_descriptors // _RESERVED_SHARE),
        ("grpc.max_connection_idle_ms", 1000 * idle_s),
        ("grpc.server_handshake_timeout_ms", 1000 * _HANDSHAKE_S),
        # gRPC's guide has a `recv` in this name, with which it has no effect.
        ("grpc.http2.min_ping_interval_without_data_ms", 1000 * _CLIENT_PING_AT_LEAST_S),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.keepalive_time_ms", 1000 * _PING_AFTER_S),
        ("grpc.keepalive_timeout_ms", 1000 * _PING_TIMEOUT_S),  # of data that nobody acknowledges
        ("grpc.http2.ping_timeout_ms", 1000 * _PING_TIMEOUT_S),
    )


def raise_descriptor_limit() -> int:
    """Let this process and its children have as many file descriptors as they may, and return that number."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _MOST_DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, _MOST_DESCRIPTORS)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with contextlib.suppress(OSError, ValueError):  # a container may forbid it: the limit stays as it is
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
            return wanted
    return _MOST_DESCRIPTORS if soft == resource.RLIM_INFINITY else soft


def check_address(host: str, port: int, security: SecuritySettings) -> None:
    """Try to bind before gRPC does: gRPC writes the reason to standard error and raises without it.

    Args:
        host: address to listen on.
        port: port to listen on; 0 is any free one.
        security: what keeps strangers out.

    Raises:
        SecurityError: other machines can reach the address, and nothing keeps strangers out.
        PortInUseError: another process has the port.
        ServingError: listening there fails for another reason.
    """
    check_reach(host, security)
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with contextlib.closing(socket.socket(family, kind, protocol)) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # a port that was released a moment ago is free
            probe.bind(address)
            probe.listen()
    except OSError as reason:
        if reason.errno == errno.EADDRINUSE:
            raise PortInUseError(host, port) from reason
        raise ServingError(
            f"cannot listen on port {port} of {host}: {reason.strerror}; see --host and --port"
        ) from reason


def check_reach(host: str, security: SecuritySettings) -> None:
    """Check that other machines cannot reach an address, or that strangers among them are kept out.

    Args:
        host: address to listen on.
        security: what keeps strangers out.

    Raises:
        SecurityError: other machines can reach the address, and nothing keeps strangers out.
    """
    if not (is_loopback(host) or security.keeps_strangers_out or security.insecure_listen):
        raise SecurityError(
            f"other machines can reach {host}: give --tls-cert and --tls-key, and --clients-file or --tls-client-ca, "
            "so that strangers are kept out; or listen on 127.0.0.1, or say --insecure-listen "
            "(DEEPHYPEBOT_INSECURE_LISTEN=true) where a network or a proxy keeps them out"
        )
