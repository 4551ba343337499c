"""Parts of the gateway's security, made from its settings."""

from __future__ import annotations

import asyncio
import ssl
from typing import Final

import grpc

from serving.security.access import Access
from serving.security.certificates import NAME, LatestContext, server_credentials, watched_certificate
from serving.security.clients import ClientBook, read_clients
from serving.security.settings import SecuritySettings
from serving.security.watched import WatchedFiles

_POLL_S: Final = 1.0
_CLIENTS: Final = "clients file"


class Security:
    """Certificate of the gateway, and access of its clients.

    Args:
        settings: files and limits.

    Raises:
        SecurityError: a file cannot be used.
    """

    def __init__(self, settings: SecuritySettings) -> None:
        self.settings: Final = settings
        self.certificate: Final = watched_certificate(settings)
        self._clients: WatchedFiles[ClientBook] | None = None
        clients_file = settings.clients_file
        if clients_file is not None:
            self._clients = WatchedFiles(_CLIENTS, [clients_file], lambda: ClientBook(read_clients(clients_file)))
        self.access: Final = self._made_access()
        """Access of clients; None where everybody may ask as much as they like."""

    def _made_access(self) -> Access | None:
        clients = self._clients
        if clients is not None:
            return Access(self.settings.limits, lambda: clients.value)
        return Access(self.settings.limits) if self.settings.limits.are_set else None

    def server_credentials(self) -> grpc.ServerCredentials | None:
        """Return the credentials of the gRPC server; None speaks in the clear."""
        if self.certificate is None:
            return None
        return server_credentials(self.certificate, asks_for_certificates=self.settings.tls_client_ca is not None)

    def ssl_context(self) -> ssl.SSLContext | None:
        """Return the context of an asyncio server; None speaks in the clear."""
        return None if self.certificate is None else LatestContext.of(self.certificate)

    def reload_errors(self) -> dict[str, int]:
        """Return the changes of each file that could not be used."""
        return {
            name.replace(" ", "_"): watched.errors
            for name, watched in ((NAME, self.certificate), (_CLIENTS, self._clients))
            if watched is not None
        }

    async def watch(self) -> None:
        """Read the files again whenever they change, for as long as the gateway runs."""
        watched = [each for each in (self.certificate, self._clients) if each is not None]
        while watched:
            await asyncio.sleep(_POLL_S)
            for each in watched:
                await asyncio.to_thread(each.refresh)
