"""Settings of the gateway."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from foundation.defaults import GATEWAY_PORT, LOOPBACK
from serving.security.settings import SecuritySettings


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewaySettings:
    """Address and limits of the gateway.

    Raises:
        ValueError: a value is out of range.
    """

    host: str = LOOPBACK
    port: int = GATEWAY_PORT
    """Port to listen on; 0 takes any free one."""
    security: SecuritySettings = field(default_factory=SecuritySettings)
    """Certificates, tokens and limits of clients."""
    max_in_flight: int = 256
    """Concurrency limit: requests that may run or wait at once. Those above it are refused with a retry delay."""
    max_deadline_s: float = 30.0
    """Deadline of a request whose caller sets none, or a longer one."""
    drain_s: float = 30.0
    """Longest time for which a gateway that stops waits for the requests in flight. The default is the longest
    deadline, so that none that was granted is broken."""

    def __post_init__(self) -> None:
        if not 0 <= self.port <= 65535:
            raise ValueError(f"port must be between 0 and 65535, got {self.port}")
        if self.max_in_flight < 1:
            raise ValueError(f"max_in_flight must be at least 1, got {self.max_in_flight}")
        if not 0 < self.max_deadline_s < math.inf:
            raise ValueError(f"max_deadline_s must be more than 0 and finite, got {self.max_deadline_s:g}")
        if not 0 <= self.drain_s < math.inf:
            raise ValueError(f"drain_s must be at least 0 and finite, got {self.drain_s:g}")
