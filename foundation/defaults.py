"""Defaults that a server and its clients must agree on."""

from __future__ import annotations

from typing import Final

LOOPBACK: Final = "127.0.0.1"
"""Default host of all servers, which cannot be reached from other machines."""
GATEWAY_PORT: Final = 50051
"""Port of the gRPC gateway."""
GATEWAY_TARGET: Final = f"{LOOPBACK}:{GATEWAY_PORT}"
"""Address of the gateway for gRPC clients."""
DEFAULT_MODEL: Final = "lcgan"
"""Registered model for requests that name none."""
