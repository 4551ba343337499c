"""Settings of who may ask the gateway."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path

from serving.errors import SecurityError


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientLimits:
    """Limits of one client; 0 stands for none.

    Raises:
        ValueError: a value is out of range.
    """

    max_calls: int = 0
    """Calls that may be open at once."""
    max_connections: int = 0
    """Connections that may have open calls at once."""
    requests_per_s: float = 0.0
    """Calls that may begin in a second, on average; those of a second may begin at once."""

    def __post_init__(self) -> None:
        for name in ("max_calls", "max_connections", "requests_per_s"):
            value = getattr(self, name)
            if not 0 <= value < math.inf:
                raise ValueError(f"{name} must be at least 0 and finite, got {value:g}")

    @property
    def are_set(self) -> bool:
        """Whether there is any limit."""
        return bool(self.max_calls or self.max_connections or self.requests_per_s)


@dataclass(frozen=True, slots=True, kw_only=True)
class SecuritySettings:
    """Files and limits that decide who may ask the gateway. The files are read again when they change.

    Raises:
        SecurityError: a certificate lacks its key, or the other way round, or a client CA lacks both.
    """

    insecure_listen: bool = False
    """Whether the gateway may listen beyond loopback without TLS and a check of who asks."""
    tls_cert: Path | None = None
    """PEM file of the gateway's certificate, with those between it and its authority; None speaks in the clear."""
    tls_key: Path | None = None
    """PEM file of the certificate's private key, without a passphrase."""
    tls_client_ca: Path | None = None
    """PEM file of the authorities whose certificates clients must have; None asks for none."""
    clients_file: Path | None = None
    """JSON file of the clients and the hashes of their tokens, as `deephypebot tokens` writes it; None needs no token.
    """
    limits: ClientLimits = field(default_factory=ClientLimits)
    """Limits of each client that has none of its own: of each address, where there are no tokens."""

    def __post_init__(self) -> None:
        if (self.tls_cert is None) != (self.tls_key is None):
            raise SecurityError("--tls-cert and --tls-key belong together: give both, or none")
        if self.tls_client_ca is not None and self.tls_cert is None:
            raise SecurityError("--tls-client-ca needs --tls-cert and --tls-key: certificates are checked within TLS")

    @property
    def keeps_strangers_out(self) -> bool:
        """Whether connections are encrypted and their clients known."""
        return self.tls_cert is not None and (self.tls_client_ca is not None or self.clients_file is not None)
