"""Life of the door: it listens, serves in the gateway's event loop, and ends after the gateway's drain."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import Callable, Iterator
from typing import Final

import uvicorn
from typing_extensions import override

from serving.errors import ServingError
from serving.gateway.listening import check_reach
from serving.gateway.server import Gateway
from serving.http.app import HttpApp
from serving.http.connections import MAX_HEAD_BYTES, connection_class
from serving.http.settings import HttpSettings
from serving.http.webhooks import WebhookReceiver

_FLUSH_S: Final = 1
"""Time in which the last answers leave when the door closes."""
_BACKLOG: Final = 128


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.is_open: Final = asyncio.Event()

    @override
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals to the service."""
        yield

    @override
    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.is_open.set()


class Door:
    """HTTP/JSON server of a gateway.

    Args:
        settings: address and limits.
        gateway: the gateway, whose certificate, clients and limits hold here as well.
        wake: called for each change that MLflow tells by a webhook.
    """

    def __init__(self, settings: HttpSettings, *, gateway: Gateway, wake: Callable[[], None] = lambda: None) -> None:
        self._settings = settings
        self._gateway = gateway
        webhooks = WebhookReceiver(settings.webhook_secret, wake=wake) if settings.webhook_secret else None
        self._app = HttpApp(gateway, settings, webhooks=webhooks)
        self._tls = gateway.security.ssl_context()
        self._server: _Server | None = None
        self._serving: asyncio.Task[None] | None = None
        counts = gateway.metrics.counts
        counts.name_source("gateway_http_responses", lambda: dict(self._app.responses))
        if webhooks is not None:
            counts.name_source("sync_webhooks", lambda: webhooks.counts)

    async def start(self) -> str:
        """Listen and return the address, `http://host:port`.

        Raises:
            SecurityError: other machines could ask without a check.
            ServingError: it cannot listen there.
        """
        settings = self._settings
        check_reach(settings.host, self._gateway.security.settings)
        listener = _listener(settings.host, settings.port)
        config = uvicorn.Config(
            self._app.asgi(),
            http=connection_class(
                max_connections=settings.max_connections,
                head_s=settings.head_s,
                idle_s=settings.idle_s,
                request_s=settings.body_s + self._gateway.deadline_s(None) + _FLUSH_S,
            ),
            ws="none",
            lifespan="off",
            log_config=None,
            log_level=logging.CRITICAL,  # a line for each client that does not speak HTTP
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_keep_alive=round(settings.idle_s),
            timeout_graceful_shutdown=_FLUSH_S,
            h11_max_incomplete_event_size=MAX_HEAD_BYTES,
        )
        config.load()
        config.ssl = self._tls
        self._server = _Server(config)
        self._serving = asyncio.create_task(self._server.serve(sockets=[listener]))
        await self._server.is_open.wait()
        host, port = listener.getsockname()[:2]
        written = f"[{host}]" if ":" in host else host
        return f"{'https' if self._tls else 'http'}://{written}:{port}"

    async def stop(self) -> None:
        """Close the door once the last answers have left; call it after the gateway's drain."""
        if self._server is not None and self._serving is not None:
            self._server.should_exit = True
            await self._serving


def _listener(host: str, port: int) -> socket.socket:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, kind, protocol)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # a port that was just released is free
            listener.bind(address)
            listener.listen(_BACKLOG)
        except OSError:
            listener.close()
            raise
    except OSError as cause:
        raise ServingError(
            f"cannot listen for HTTP on port {port} of {host} ({cause.strerror}): choose another port with "
            "--http-port or DEEPHYPEBOT_HTTP_PORT (0 takes any free one)"
        ) from cause
    listener.setblocking(False)
    return listener
