"""Certificate and token of a gateway that is measured with TLS, or with a check of who asks."""

from __future__ import annotations

import ipaddress
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from foundation.defaults import LOOPBACK
from serving.security.settings import ClientLimits, SecuritySettings
from serving.security.store import add_client

_DAY = timedelta(days=1)
_MANY = 1_000_000


def guarded(folder: Path, *, tls: bool, tokens: bool) -> tuple[SecuritySettings, dict[str, str]]:
    """Return the security of a gateway, and what its clients need: the files `ca` and `token_file`.

    Args:
        folder: folder for the files.
        tls: whether it speaks TLS.
        tokens: whether a client needs a token, and has limits, which are never reached.
    """
    cert, key = folder / "gateway.crt", folder / "gateway.key"
    clients = folder / "clients.json"
    needed: dict[str, str] = {}
    if tls:
        _write_certificate(cert, key)
        needed["ca"] = str(cert)
    if tokens:
        limits = ClientLimits(max_calls=_MANY, max_connections=_MANY, requests_per_s=float(_MANY))
        token = folder / "bench.token"
        token.write_text(add_client(clients, "bench", limits=limits, now=time.time(), expires=None))
        needed["token_file"] = str(token)
    settings = SecuritySettings(
        tls_cert=cert if tls else None, tls_key=key if tls else None, clients_file=clients if tokens else None
    )
    return settings, needed


def _write_certificate(cert: Path, key: Path) -> None:
    """Write a certificate for loopback that is its own authority, and its key."""
    private = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "deephypebot bench")])
    address = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(LOOPBACK))])
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(private.public_key())
    builder = (
        builder.serial_number(x509.random_serial_number()).not_valid_before(now - _DAY).not_valid_after(now + _DAY)
    )
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    signed = builder.add_extension(address, critical=False).sign(private, hashes.SHA256())
    cert.write_bytes(signed.public_bytes(serialization.Encoding.PEM))
    key.write_bytes(
        private.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
