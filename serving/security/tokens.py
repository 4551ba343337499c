"""Bearer tokens: `dhb_ID_SECRET`, where the id is public and the secret has 256 random bits.

A file holds the SHA-256 of each token. A slow hash (scrypt, Argon2) protects passwords, which people choose and which
can be guessed; nobody guesses 256 random bits, and a slow hash of each call would cost more than the call.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

_PREFIX: Final = "dhb"
"""Start of every token, so that scanners of leaked secrets can know one."""
_ID_BYTES: Final = 4
_SECRET_BYTES: Final = 32
LONGEST_TOKEN: Final = 200
_NO_HASH: Final = bytes(32)


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredToken:
    """Record of a token: its id and its hash.

    Times are seconds since 1970.
    """

    id: str
    sha256: str
    """Hash of the whole token, as hexadecimal digits."""
    created: float
    expires: float | None = None
    """Time from which it is refused; None for never."""

    def is_expired(self, now: float) -> bool:
        """Return whether it is refused at some time."""
        return self.expires is not None and self.expires <= now


def new_token(*, created: float, expires: float | None, taken: Iterable[str] = ()) -> tuple[str, StoredToken]:
    """Make a token, and return its text and what is kept of it.

    Args:
        created: time of its making.
        expires: time from which it is refused; None for never.
        taken: ids that it must not have.
    """
    others = set(taken)
    while (name := secrets.token_hex(_ID_BYTES)) in others:
        pass
    text = f"{_PREFIX}_{name}_{secrets.token_urlsafe(_SECRET_BYTES)}"
    return text, StoredToken(id=name, sha256=_hash(text).hex(), created=created, expires=expires)


def id_of(token: str) -> str:
    """Return the id of a token's text; empty if it has none.

    >>> id_of("dhb_0a1b2c3d_secret_with_underscores"), id_of("secret")
    ('0a1b2c3d', '')
    """
    parts = token.split("_", 2)
    return parts[1] if len(parts) == 3 and parts[0] == _PREFIX else ""


def matches(token: str, stored_sha256: bytes | None) -> bool:
    """Return whether a token has a hash, in a time that does not depend on how much of it is right.

    Args:
        token: text of the token.
        stored_sha256: its hash; None takes as long and is false.
    """
    return hmac.compare_digest(_hash(token), stored_sha256 or _NO_HASH) and stored_sha256 is not None


def _hash(token: str) -> bytes:
    return hashlib.sha256(token.encode(errors="replace")).digest()
