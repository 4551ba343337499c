"""The bot's accounts on the stand-ins: one on each network, with new credentials in each process."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cache
from typing import Any

X_USER_ID = "1700000000000000001"
USERNAME = "sandboxbot"
SPREADSHEET_ID = "sandbox-spreadsheet-0000000000000000000000001"
SERVICE_ACCOUNT = "bot@sandbox.iam.gserviceaccount.com"
_TOKEN_BYTES = 24


@dataclass(frozen=True, slots=True, kw_only=True)
class XAccount:
    """Keys of an app and of a user, as in X's developer portal."""

    consumer_key: str
    consumer_secret: str
    access_token: str
    access_token_secret: str
    user_id: str = X_USER_ID
    username: str = USERNAME


@dataclass(frozen=True, slots=True, kw_only=True)
class GoogleAccount:
    """A service account and the spreadsheet that is shared with it."""

    service_account: dict[str, str]
    """Content of the JSON key file of Google's console."""
    public_key: str
    spreadsheet_id: str = SPREADSHEET_ID


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxSettings:
    """Addresses and credentials of the stand-ins."""

    url: str
    """Base address of every network."""
    x: XAccount
    google: GoogleAccount
    bluesky_handle: str
    bluesky_password: str
    mastodon_access_token: str
    lookups: Mapping[str, Mapping[str, str]]
    """Sections of a bot's settings for services that know artists, by name."""

    def as_document(self) -> dict[str, Any]:
        """Return the settings as a JSON object."""
        return asdict(self)

    @classmethod
    def from_document(cls, document: dict[str, Any]) -> SandboxSettings:
        """Read the settings that `python -m bot.sandbox` printed."""
        return cls(
            **{
                **document,
                "x": XAccount(**document["x"]),
                "google": GoogleAccount(**document["google"]),
            }
        )

    @classmethod
    def from_json(cls, text: str | bytes) -> SandboxSettings:
        """Read the settings from JSON text."""
        return cls.from_document(json.loads(text))


def open_accounts(url: str, *, lookups: Mapping[str, Mapping[str, str]]) -> SandboxSettings:
    """Make accounts for the stand-ins at this address.

    Args:
        url: base address of all stand-ins.
        lookups: as in `SandboxSettings`.
    """
    return SandboxSettings(
        url=url,
        x=XAccount(
            consumer_key=_secret(),
            consumer_secret=_secret(),
            # The part before the hyphen is the user's id, which clients read from it.
            access_token=f"{X_USER_ID}-{_secret()}",
            access_token_secret=_secret(),
        ),
        google=_service_account(url),
        bluesky_handle=f"{USERNAME}.test",
        bluesky_password=_secret(),
        mastodon_access_token=_secret(),
        lookups=lookups,
    )


def _secret() -> str:
    return secrets.token_hex(_TOKEN_BYTES)


def _service_account(url: str) -> GoogleAccount:
    private, public = _key_pair()
    return GoogleAccount(
        service_account={
            "type": "service_account",
            "project_id": "sandbox",
            "private_key_id": secrets.token_hex(20),
            "private_key": private,
            "client_email": SERVICE_ACCOUNT,
            "client_id": "100000000000000000001",
            "token_uri": f"{url}/token",
        },
        public_key=public,
    )


@cache
def _key_pair() -> tuple[str, str]:
    """Return a private key and its public key, PEM; cached, because it is slow and tests open many accounts."""
    # Imported here: reading settings from a file does not need cryptography.
    from cryptography.hazmat.primitives import serialization  # noqa: PLC0415
    from cryptography.hazmat.primitives.asymmetric import rsa  # noqa: PLC0415

    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    return private.decode(), public.decode()
