"""Defaults that a server and its clients must agree on."""

from __future__ import annotations

from typing import Final

LOOPBACK: Final = "127.0.0.1"
"""Host that everything listens on by default: nothing can be reached from another machine."""
GATEWAY_PORT: Final = 50051
"""Port of the gRPC gateway."""
GATEWAY_TARGET: Final = f"{LOOPBACK}:{GATEWAY_PORT}"
"""Address of the gateway, as gRPC clients take it."""
DEFAULT_MODEL: Final = "lcgan"
"""Registered model that answers a request that names none."""
