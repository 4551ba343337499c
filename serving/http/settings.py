"""Settings of the HTTP/JSON door."""

from __future__ import annotations

from dataclasses import dataclass, field

from foundation.defaults import LOOPBACK
from foundation.loopback import is_loopback


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpSettings:
    """Address and limits of the HTTP/JSON door.

    Raises:
        ValueError: a value is out of range.
    """

    host: str = LOOPBACK
    port: int = 0
    """Port to listen on; 0 takes any free one."""
    max_connections: int = 512
    """Connections that may be open at once; more are closed at once."""
    head_s: float = 10.0
    """Longest time in which the head of a request arrives."""
    body_s: float = 10.0
    """Longest time in which the body of a request arrives."""
    idle_s: float = 60.0
    """Time for which a connection without a request stays open."""
    webhook_secret: str = field(default="", repr=False)
    """Secret with which MLflow signs webhooks; without one there is no route for them."""

    def __post_init__(self) -> None:
        if not 0 <= self.port <= 65535:
            raise ValueError(f"port must be between 0 and 65535, got {self.port}")
        if self.max_connections < 1:
            raise ValueError(f"max_connections must be at least 1, got {self.max_connections}")
        for name in ("head_s", "body_s", "idle_s"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be more than 0 seconds, got {getattr(self, name):g}")

    @property
    def is_loopback(self) -> bool:
        """Whether only programs of this machine reach the door.

        >>> HttpSettings(host="::1").is_loopback, HttpSettings(host="0.0.0.0").is_loopback
        (True, False)
        """
        return is_loopback(self.host)
