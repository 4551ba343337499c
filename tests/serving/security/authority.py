"""A certificate authority for tests: real certificates, signed here."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

_DAY = timedelta(days=1)


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _write(path: Path, contents: bytes) -> Path:
    """As tools that renew certificates do: another file takes the name."""
    scratch = path.with_name(f"{path.name}.new")
    scratch.write_bytes(contents)
    return scratch.replace(path)


@dataclass(frozen=True)
class Pair:
    """Files of a certificate and its key."""

    cert: Path
    key: Path


class Authority:
    """An authority whose certificate is at `ca`."""

    def __init__(self, folder: Path, name: str = "authority") -> None:
        self._folder = folder
        self._name = name
        self._key = ec.generate_private_key(ec.SECP256R1())
        extension = x509.BasicConstraints(ca=True, path_length=None)
        own = self._signed(name, self._key.public_key()).add_extension(extension, critical=True)
        certificate = own.sign(self._key, hashes.SHA256())
        self.ca = _write(folder / f"{name}.pem", certificate.public_bytes(serialization.Encoding.PEM))

    def _signed(self, name: str, key: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
        now = datetime.now(UTC)
        builder = x509.CertificateBuilder().subject_name(_named(name)).issuer_name(_named(self._name))
        return (
            builder.public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - _DAY)
            .not_valid_after(now + _DAY)
        )

    def issue(self, name: str, *, host: str = "") -> Pair:
        """Write a new certificate of a name, for an address and `localhost`, over what was there."""
        key = ec.generate_private_key(ec.SECP256R1())
        names: list[x509.GeneralName] = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
        if host:
            names.append(x509.DNSName(host))
        builder = self._signed(name, key.public_key()).add_extension(x509.SubjectAlternativeName(names), critical=False)
        certificate = builder.sign(self._key, hashes.SHA256())
        private = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        return Pair(
            cert=_write(self._folder / f"{name}.crt", certificate.public_bytes(serialization.Encoding.PEM)),
            key=_write(self._folder / f"{name}.key", private),
        )
