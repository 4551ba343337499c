"""Signatures of archives by keys of one's own, in the format of OpenSSF Model Signing (OMS) 1.0.

A signature is a Sigstore bundle (JSON): a DSSE envelope around an in-toto statement, signed with ECDSA. The statement
says which file has which SHA-256, so a signature of one version cannot be shown for another. `model_signing verify key`
reads these signatures, and this module reads those of `model_signing sign key`; it needs neither Sigstore's packages
nor its servers. See docs/decisions/0020-signed-archives.md.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

SIGNATURE_SUFFIX: Final = ".sig"
"""End of the name of a file that holds a signature, after the name of the signed file."""
PUBLIC_SUFFIX: Final = ".pub"
"""End of the name of a public key's file, after the name of the private key's."""
SHOWN: Final = 16
"""Digits by which messages name a key."""

_BUNDLE: Final = "application/vnd.dev.sigstore.bundle.v0.3+json"
_PAYLOAD: Final = "application/vnd.in-toto+json"
_STATEMENT: Final = "https://in-toto.io/Statement/v1"
_PREDICATE: Final = "https://model_signing/signature/v1.0"
_WHOLE_FILE: Final = "."
"""Name of the signed file within the model, which is the file itself."""
_MAX_BYTES: Final = 64 * 1024
"""Size of a signature or a file of keys above which nothing is parsed."""
_HASHES: Final = {256: hashes.SHA256(), 384: hashes.SHA384(), 521: hashes.SHA512()}
"""Hash that goes with each size of a curve, as OMS has it."""
_PUBLIC_PEM: Final = re.compile(rb"-----BEGIN PUBLIC KEY-----.+?-----END PUBLIC KEY-----\s*", re.DOTALL)


class SignatureError(Exception):
    """A signature does not hold, or a key cannot be used; the message says why."""


@dataclass(frozen=True, slots=True)
class SigningKey:
    """Private key of a signer."""

    _key: ec.EllipticCurvePrivateKey

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a private key from its PEM file, which nobody but its owner may read.

        Raises:
            SignatureError: the file cannot be read, others may read it, or it holds no such key.
        """
        content = _read(path, "the signing key")
        mode = stat.S_IMODE(path.stat().st_mode)
        if mode & 0o077 and os.name != "nt":  # Windows keeps rights elsewhere, and says 666 of every file
            raise SignatureError(f"the signing key {path} can be read by others (mode {mode:o}): chmod 600 {path}")
        try:
            key = serialization.load_pem_private_key(content, None)
        except TypeError as cause:
            raise SignatureError(f"the signing key {path} has a passphrase: keep one without, offline") from cause
        except (ValueError, UnsupportedAlgorithm) as cause:
            raise SignatureError(f"{path} holds no private key in PEM: make one with `deephypebot keys new`") from cause
        if not isinstance(key, ec.EllipticCurvePrivateKey) or key.curve.key_size not in _HASHES:
            raise SignatureError(f"{path} is not a key of the curve P-256, P-384 or P-521, which signatures need")
        return cls(key)

    @property
    def fingerprint(self) -> str:
        """Fingerprint of the public key."""
        return _fingerprint(self._key.public_key())

    def sign(self, name: str, sha256: str) -> str:
        """Return a signature, as JSON in one line.

        Args:
            name: name of the signed file, such as lcgan_2.mar.
            sha256: its SHA-256, in hexadecimal.
        """
        payload = json.dumps(_statement(name, sha256), separators=(",", ":")).encode()
        signed = self._key.sign(_encoded(payload), ec.ECDSA(_HASHES[self._key.curve.key_size]))
        bundle = {
            "mediaType": _BUNDLE,
            "verificationMaterial": {"publicKey": {"hint": self.fingerprint}, "tlogEntries": []},
            "dsseEnvelope": {
                "payload": base64.b64encode(payload).decode(),
                "payloadType": _PAYLOAD,
                "signatures": [{"sig": base64.b64encode(signed).decode(), "keyid": ""}],
            },
        }
        return json.dumps(bundle, separators=(",", ":"))


@dataclass(frozen=True, slots=True)
class TrustedKeys:
    """Public keys whose signatures count; several, so that a new one can stand beside an old one."""

    _keys: dict[str, ec.EllipticCurvePublicKey]
    """By their fingerprints."""

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a file of one or more public keys in PEM, one after the other; lines between them may be comments (#).

        Raises:
            SignatureError: the file cannot be read, or holds anything but such keys.
        """
        content = _read(path, "the file of trusted keys")
        if b"PRIVATE KEY" in content:
            raise SignatureError(f"{path} holds a private key: name the public one, which ends in {PUBLIC_SUFFIX}")
        blocks = _PUBLIC_PEM.findall(content)
        if not blocks:
            raise SignatureError(f"{path} holds no public key in PEM; a file without keys would refuse every archive")
        keys = {}
        for number, block in enumerate(blocks, 1):
            try:
                key = serialization.load_pem_public_key(block)
            except (ValueError, UnsupportedAlgorithm) as cause:
                raise SignatureError(f"the public key number {number} of {path} cannot be read") from cause
            if not isinstance(key, ec.EllipticCurvePublicKey) or key.curve.key_size not in _HASHES:
                raise SignatureError(f"the public key number {number} of {path} is not of P-256, P-384 or P-521")
            keys[_fingerprint(key)] = key
        # A key that is damaged would be dropped without a word otherwise, and what it signed be refused.
        left = [line for line in _PUBLIC_PEM.sub(b"\n", content).splitlines() if line.strip()]
        for line in left:
            if not line.lstrip().startswith(b"#"):
                shown = line.strip()[:40].decode("utf-8", "backslashreplace")
                raise SignatureError(
                    f"{path} holds {shown!r} outside of a public key: a key is damaged; lines of comment begin with #"
                )
        return cls(keys)

    @property
    def fingerprints(self) -> tuple[str, ...]:
        """Fingerprints of the keys, in the order of the file."""
        return tuple(self._keys)

    def verify(self, signature: str, *, name: str, sha256: str) -> str:
        """Check that a trusted key has signed a file of this name and content; return the key's fingerprint.

        Args:
            signature: text of the signature.
            name: name that the file must have been signed under.
            sha256: SHA-256 of the file, in hexadecimal.

        Raises:
            SignatureError: no trusted key has signed it, or another file was signed.
        """
        hint, payload, signed = _envelope(signature)
        key = self._keys.get(hint)
        if key is None:
            known = ", ".join(each[:SHOWN] for each in self._keys)
            raise SignatureError(
                f"it is signed by the key {hint[:SHOWN] or 'without a name'}, which is not trusted (trusted: {known})"
            )
        try:
            key.verify(signed, _encoded(payload), ec.ECDSA(_HASHES[key.curve.key_size]))
        except InvalidSignature as cause:
            raise SignatureError(f"its signature is not one of the key {hint[:SHOWN]}, which it names") from cause
        # From here on the payload is what the key's owner wrote.
        found_name, found_sha256 = _subject(payload)
        if found_name != name:
            raise SignatureError(f"its signature is that of {found_name}, not of {name}")
        if found_sha256 != sha256.lower():
            raise SignatureError(
                f"its signature is that of another content (SHA-256 {found_sha256[:12]}…, and this has {sha256[:12]}…)"
            )
        return hint


def new_key_pair(private: Path) -> str:
    """Make a key pair, in PRIVATE (mode 600) and PRIVATE.pub (mode 644); return its fingerprint.

    Raises:
        SignatureError: one of the files exists, or cannot be written.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    public = private.with_name(private.name + PUBLIC_SUFFIX)
    if public.exists():
        raise SignatureError(f"{public} exists, and no key is overwritten: choose another name")
    _create(
        private,
        0o600,
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()),
    )
    _create(public, 0o644, _pem(key.public_key()))
    return _fingerprint(key.public_key())


def _create(path: Path, mode: int, content: bytes) -> None:
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        with os.fdopen(descriptor, "wb") as file:
            if os.name != "nt":
                os.fchmod(file.fileno(), mode)  # whatever the umask is
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
    except FileExistsError as cause:
        raise SignatureError(f"{path} exists, and no key is overwritten: choose another name") from cause
    except OSError as cause:
        raise SignatureError(f"{path} cannot be written: {cause.strerror}") from cause


def _read(path: Path, what: str) -> bytes:
    try:
        with path.open("rb") as file:
            content = file.read(_MAX_BYTES + 1)
    except OSError as cause:
        raise SignatureError(f"{what} {path} cannot be read: {cause.strerror}") from cause
    if len(content) > _MAX_BYTES:
        raise SignatureError(f"{what} {path} has more than {_MAX_BYTES // 1024} KiB, so it is another file")
    return content


def _pem(key: ec.EllipticCurvePublicKey) -> bytes:
    return key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


def _fingerprint(key: ec.EllipticCurvePublicKey) -> str:
    """SHA-256 of the key's PEM, as OMS names keys."""
    return hashlib.sha256(_pem(key)).hexdigest()


def _encoded(payload: bytes) -> bytes:
    """Encode what is signed, by the DSSE protocol (pre-authentication encoding): it binds the type of the payload."""
    return b"DSSEv1 %d %s %d %s" % (len(_PAYLOAD), _PAYLOAD.encode(), len(payload), payload)


def _statement(name: str, sha256: str) -> dict[str, Any]:
    return {
        "_type": _STATEMENT,
        "subject": [{"name": name, "digest": {"sha256": _root(sha256)}}],
        "predicateType": _PREDICATE,
        "predicate": {
            "serialization": {
                "method": "files",
                "hash_type": "sha256",
                "allow_symlinks": False,
                "ignore_paths": [],
            },
            "resources": [{"name": _WHOLE_FILE, "algorithm": "sha256", "digest": sha256}],
        },
    }


def _root(sha256: str) -> str:
    """Digest of a model: the hash of the hashes of its files, of which there is one."""
    return hashlib.sha256(bytes.fromhex(sha256)).hexdigest()


def _envelope(signature: str) -> tuple[str, bytes, bytes]:
    """Read the key's name, the payload and the signature proper from the text of a signature."""
    if len(signature) > _MAX_BYTES:
        raise SignatureError(f"its signature has more than {_MAX_BYTES // 1024} KiB")
    try:
        document: Any = json.loads(signature)
        envelope = document["dsseEnvelope"]
        kinds = (document["mediaType"], envelope["payloadType"])
        hint = str(document["verificationMaterial"]["publicKey"]["hint"])
        payload = base64.b64decode(envelope["payload"], validate=True)
        (only,) = envelope["signatures"]
        signed = base64.b64decode(only["sig"], validate=True)
    except (ValueError, KeyError, TypeError, RecursionError) as cause:
        raise SignatureError("its signature is not a Sigstore bundle with one signature by a key") from cause
    if kinds != (_BUNDLE, _PAYLOAD):
        raise SignatureError(f"its signature is of the kinds {kinds}, and {(_BUNDLE, _PAYLOAD)} are read")
    return hint, payload, signed


def _subject(payload: bytes) -> tuple[str, str]:
    """Read the name and the SHA-256 of the signed file from a statement."""
    try:
        statement: Any = json.loads(payload)
        kinds = (statement["_type"], statement["predicateType"])
        (subject,) = statement["subject"]
        (resource,) = statement["predicate"]["resources"]
        name, sha256 = str(subject["name"]), str(resource["digest"]).lower()
        is_whole = (resource["name"], resource["algorithm"]) == (_WHOLE_FILE, "sha256")
        is_consistent = _root(sha256) == subject["digest"]["sha256"]
    except (ValueError, KeyError, TypeError, RecursionError) as cause:
        raise SignatureError("its signature is of something else than one file") from cause
    if kinds != (_STATEMENT, _PREDICATE) or not (is_whole and is_consistent):
        raise SignatureError("its signature is of something else than one file with its SHA-256")
    return name, sha256
