"""The gateway's certificate, its key and the authorities of its clients, checked before gRPC gets them."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import grpc
from typing_extensions import override

from serving.errors import SecurityError
from serving.security.settings import SecuritySettings
from serving.security.watched import WatchedFiles

NAME: Final = "certificate"


@dataclass(frozen=True, slots=True)
class Certificate:
    """A certificate with its key and the authorities of clients, in the forms that both doors of the gateway need."""

    configuration: grpc.ServerCertificateConfiguration
    context: ssl.SSLContext


def watched_certificate(settings: SecuritySettings) -> WatchedFiles[Certificate] | None:
    """Return the certificate that the settings name, None if they name none.

    Raises:
        SecurityError: it cannot be used.
    """
    cert, key, client_ca = settings.tls_cert, settings.tls_key, settings.tls_client_ca
    if cert is None or key is None:
        return None
    paths = [path for path in (cert, key, client_ca) if path is not None]
    return WatchedFiles(NAME, paths, lambda: read_certificate(cert, key, client_ca))


def server_credentials(watched: WatchedFiles[Certificate], *, asks_for_certificates: bool) -> grpc.ServerCredentials:
    """Return credentials with which each new connection gets the certificate as it is then.

    Args:
        watched: the certificate.
        asks_for_certificates: whether clients must have one as well.
    """
    return grpc.dynamic_ssl_server_credentials(
        watched.value.configuration, _changes_of(watched), require_client_authentication=asks_for_certificates
    )


class LatestContext(ssl.SSLContext):
    """Context with which each new connection gets the certificate as it is then.

    asyncio asks a server's context for an object for each connection, which another context gives here.
    """

    _watched: WatchedFiles[Certificate]

    @classmethod
    def of(cls, watched: WatchedFiles[Certificate]) -> LatestContext:
        """Return the context of a certificate."""
        context = cls(ssl.PROTOCOL_TLS_SERVER)
        context._watched = watched
        return context

    @override
    def wrap_bio(self, *arguments: Any, **options: Any) -> ssl.SSLObject:
        return self._watched.value.context.wrap_bio(*arguments, **options)


def read_certificate(cert: Path, key: Path, client_ca: Path | None) -> Certificate:
    """Read a certificate with its key, and the authorities of clients.

    Raises:
        SecurityError: a file is missing or not PEM, the key is not that of the certificate, or the files were replaced
            while they were read.
    """
    paths = [path for path in (cert, key, client_ca) if path is not None]
    contents = [_read(path) for path in paths]
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_cert_chain(cert, key, password=_no_passphrase)
    except (OSError, ValueError) as fault:
        raise SecurityError(f"{cert} and {key} are not a PEM certificate and its private key: {fault}") from fault
    if client_ca is not None:
        try:
            context.load_verify_locations(client_ca)
            context.verify_mode = ssl.CERT_REQUIRED
        except (OSError, ValueError) as fault:
            raise SecurityError(f"{client_ca} holds no PEM certificates of authorities: {fault}") from fault
    if contents != [_read(path) for path in paths]:
        raise SecurityError(f"{cert}, {key} or {client_ca} changed while they were read")
    chain, private_key, *authorities = contents
    configuration = grpc.ssl_server_certificate_configuration([(private_key, chain)], *authorities)
    return Certificate(configuration, context)


def _changes_of(watched: WatchedFiles[Certificate]) -> Callable[[], Any]:
    """Return a function that gRPC calls for each new connection: it returns a changed certificate once, else None."""
    known = watched.value

    def changed() -> grpc.ServerCertificateConfiguration | None:
        nonlocal known
        value = watched.value
        if value is known:
            return None
        known = value
        return value.configuration

    return changed


def _no_passphrase() -> str:
    """Keep OpenSSL from asking the terminal."""
    return ""


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as cause:
        raise SecurityError(f"{path} cannot be read ({cause.strerror})") from cause
