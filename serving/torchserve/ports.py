"""Ports on loopback for TorchServe."""

from __future__ import annotations

import contextlib
import socket

from foundation.defaults import LOOPBACK
from serving.torchserve.errors import TorchServeError


def free_ports(count: int) -> list[int]:
    """Return so many ports that no process has now."""
    with contextlib.ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(count)]
        for probe in sockets:
            probe.bind((LOOPBACK, 0))
        return [int(probe.getsockname()[1]) for probe in sockets]


def checked_port(port: int) -> int:
    """Return a requested port after a try to bind it, since the JVM's own message for a port in use is unclear.

    Raises:
        TorchServeError: another process has it, or it may not be used.
    """
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # a port that was released a moment ago is free
        try:
            probe.bind((LOOPBACK, port))
        except OSError as cause:
            raise TorchServeError(
                f"TorchServe's metrics cannot use port {port} on {LOOPBACK} ({cause.strerror}): choose another with "
                "--metrics-port or DEEPHYPEBOT_TORCHSERVE_METRICS_PORT"
            ) from cause
    return port
