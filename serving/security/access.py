"""Access of clients to the gateway: who asks, and whether they may ask for one more thing now.

Both doors of the gateway, gRPC and HTTP, ask here, from the gateway's event loop.
"""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable
from typing import Final

import grpc

from serving.errors import SecurityError
from serving.security.clients import ClientBook, TokenError
from serving.security.settings import ClientLimits
from serving.security.tokens import LONGEST_TOKEN

REASONS: Final = (
    "token_missing",
    "token_unknown",
    "token_expired",
    "client_calls",
    "client_connections",
    "client_rate",
)  # fmt: skip
_SCHEME: Final = "bearer"
_SHORTEST_PAUSE_MS: Final = 50
_LONGEST_PAUSE_MS: Final = 5_000
_MANY_USAGES: Final = 4_096
"""Clients from which it is looked for some to forget."""
_FULL_CREDIT_S: Final = 10.0
"""Time in which every credit is full again, but those of rates below one call in ten seconds."""


class AccessError(SecurityError):
    """A call that a client may not make, or not now.

    Attributes:
        code: status for the client.
        reason: one of `REASONS`.
        retry_after_ms: pause before a retry, in milliseconds; None if a retry would fail as well.
        limit: limit that the client has reached; None where it is not about one.
    """

    def __init__(
        self,
        code: grpc.StatusCode,
        reason: str,
        message: str,
        *,
        retry_after_ms: int | None = None,
        limit: float | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason
        self.retry_after_ms = retry_after_ms
        self.limit = limit


class _Usage:
    """Open calls and connections of a client, and its credit of calls."""

    __slots__ = ("calls", "connections", "credit", "credit_at", "refused")

    def __init__(self) -> None:
        self.calls = 0
        self.connections: dict[str, int] = {}
        self.credit = 0.0
        self.credit_at = float("-inf")
        self.refused = 0
        """Refusals since the last call that was let in."""


class Permit:
    """Leave for one call, held until `close`."""

    __slots__ = ("_access", "_peer", "_usage", "client")

    def __init__(self, access: Access, usage: _Usage, client: str, peer: str) -> None:
        self._access = access
        self._usage = usage
        self._peer = peer
        self.client: Final = client
        """Name of the client; its address, after `peer:`, where there are no tokens."""

    def close(self) -> None:
        """Note that the call has ended."""
        self._access._end(self._usage, self.client, self._peer)  # noqa: SLF001 - both are of this module


class Access:
    """Check of who asks, and of what each client holds.

    Args:
        limits: limits of a client that has none of its own.
        clients: returns the clients as they are now; None lets everybody in, by address.
        clock: seconds since 1970.
        timer: seconds that only grow.
    """

    def __init__(
        self,
        limits: ClientLimits,
        clients: Callable[[], ClientBook] | None = None,
        *,
        clock: Callable[[], float] = time.time,
        timer: Callable[[], float] = time.monotonic,
    ) -> None:
        self._limits = limits
        self._clients = clients
        self._clock = clock
        self._timer = timer
        self._usages: dict[str, _Usage] = {}
        self._most_usages = _MANY_USAGES
        self.denied: Final = dict.fromkeys(REASONS, 0)
        """Calls that were refused, by reason."""
        self._let_in: Final[Counter[str]] = Counter()

    def calls_by_client(self) -> dict[str, int]:
        """Return the calls of each client of the file that were let in; without tokens there are none."""
        if self._clients is None:
            return {}
        return {name: self._let_in[name] for name in self._clients().clients}

    def enter(self, authorization: str | None, peer: str) -> Permit:
        """Let a call in.

        Args:
            authorization: value of the header or metadatum of this name; None without one.
            peer: address of the connection, as gRPC writes it: `ipv4:127.0.0.1:53412`.

        Raises:
            AccessError: it may not come in.
        """
        try:
            return self._entered(authorization, peer)
        except AccessError as fault:
            self.denied[fault.reason] += 1
            raise

    def _entered(self, authorization: str | None, peer: str) -> Permit:
        if self._clients is None:
            name, limits = f"peer:{_host_of(peer)}", self._limits
        else:
            name, limits = self._known(self._clients(), authorization)
        usage = self._usages.get(name)
        if usage is None:
            usage = self._usages[name] = _Usage()
        self._check(usage, limits, peer)
        usage.calls += 1
        usage.connections[peer] = usage.connections.get(peer, 0) + 1
        usage.refused = 0
        if self._clients is not None:
            self._let_in[name] += 1
        return Permit(self, usage, name, peer)

    def _known(self, book: ClientBook, authorization: str | None) -> tuple[str, ClientLimits]:
        scheme, _, token = (authorization or "").partition(" ")
        if scheme.lower() != _SCHEME or not token:
            raise AccessError(
                grpc.StatusCode.UNAUTHENTICATED,
                "token_missing",
                "this gateway needs a token: send `authorization: Bearer TOKEN` (DEEPHYPEBOT_TOKEN or --token-file)",
            )
        try:
            client = book.client_of(token.strip()[:LONGEST_TOKEN], self._clock())
        except TokenError as fault:
            raise AccessError(grpc.StatusCode.UNAUTHENTICATED, fault.reason, str(fault)) from None
        return client.name, client.limits if client.limits.are_set else self._limits

    def _check(self, usage: _Usage, limits: ClientLimits, peer: str) -> None:
        if limits.max_calls and usage.calls >= limits.max_calls:
            reason = "of your calls are open, which is the limit"
            raise self._too_many(usage, "client_calls", limits.max_calls, reason)
        if (
            limits.max_connections
            and peer not in usage.connections
            and len(usage.connections) >= limits.max_connections
        ):
            reason = "of your connections have open calls, which is the limit; use one of those"
            raise self._too_many(usage, "client_connections", limits.max_connections, reason)
        if limits.requests_per_s:
            self._pay(usage, limits.requests_per_s)

    def _pay(self, usage: _Usage, rate: float) -> None:
        """Take one call from a client's credit, which fills at its rate up to a second's worth, and at least to 1."""
        now = self._timer()
        most = max(1.0, rate)
        credit = min(most, usage.credit + rate * (now - usage.credit_at))
        if credit < 1:
            pause_ms = round(1000 * (1 - credit) / rate * random.uniform(1, 1.5))
            raise AccessError(
                grpc.StatusCode.RESOURCE_EXHAUSTED,
                "client_rate",
                f"you may begin {rate:g} calls in a second, and have; retry later",
                retry_after_ms=max(_SHORTEST_PAUSE_MS, pause_ms),
                limit=rate,
            )
        usage.credit, usage.credit_at = credit - 1, now

    def _too_many(self, usage: _Usage, kind: str, limit: int, reason: str) -> AccessError:
        """Refuse with a pause that doubles with each refusal in a row, and differs between those of one moment."""
        longest = min(_LONGEST_PAUSE_MS, _SHORTEST_PAUSE_MS << min(usage.refused, 10))
        usage.refused += 1
        pause_ms = round(longest * random.uniform(0.5, 1))
        message = f"{limit} {reason}; retry later"
        code = grpc.StatusCode.RESOURCE_EXHAUSTED
        return AccessError(code, kind, message, retry_after_ms=pause_ms, limit=limit)

    def _end(self, usage: _Usage, name: str, peer: str) -> None:
        usage.calls -= 1
        left = usage.connections[peer] - 1
        if left:
            usage.connections[peer] = left
        else:
            del usage.connections[peer]
        # Addresses are without number, so nothing is remembered of one that holds nothing. A client that has used its
        # rate up is remembered for as long as that matters.
        if not usage.calls and self._clients is None and not self._limits.requests_per_s:
            del self._usages[name]
        elif len(self._usages) > self._most_usages:
            self._forget_idle()

    def _forget_idle(self) -> None:
        """Forget clients without open calls whose rate is theirs in full again."""
        now = self._timer()
        self._usages = {
            name: usage for name, usage in self._usages.items() if usage.calls or now - usage.credit_at < _FULL_CREDIT_S
        }
        self._most_usages = max(_MANY_USAGES, 2 * len(self._usages))


def _host_of(peer: str) -> str:
    """Return the host of a connection's address.

    >>> _host_of("ipv4:127.0.0.1:53412"), _host_of("ipv6:%5B::1%5D:53412"), _host_of("unix:")
    ('ipv4:127.0.0.1', 'ipv6:%5B::1%5D', 'unix:')
    """
    head, _, port = peer.rpartition(":")
    return head if port.isdigit() else peer
