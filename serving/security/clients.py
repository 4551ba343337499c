"""Clients that may ask the gateway: their names, limits and tokens, as a file holds them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from serving.errors import SecurityError
from serving.security.settings import ClientLimits
from serving.security.tokens import StoredToken, id_of, matches

MAX_CLIENTS: Final = 1_000
"""Clients of a file. Each is a series of a metric."""
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_HASH: Final = re.compile(r"[0-9a-f]{64}")
_ID: Final = re.compile(r"[0-9a-f]{8}")
_LIMITS: Final = ("max_calls", "max_connections", "requests_per_s")
_OTHERS_WRITE: Final = 0o022
_MAX_BYTES: Final = 8 * 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """A client that may ask.

    Raises:
        SecurityError: the name is not one.
    """

    name: str
    tokens: tuple[StoredToken, ...]
    """Tokens that it may use: two while one takes the other's place."""
    limits: ClientLimits = field(default_factory=ClientLimits)

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise SecurityError(
                f"the name of a client has 1 to 64 letters, digits, dots, hyphens and underscores, and begins with a "
                f"letter or digit; got {self.name!r}"
            )


class TokenError(SecurityError):
    """A token that lets nobody in.

    Attributes:
        reason: kind of the fault, in one word for metrics and programs.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class ClientBook:
    """Clients by their tokens.

    Args:
        clients: clients with different names.
    """

    def __init__(self, clients: Iterable[Client]) -> None:
        self.clients: Final = {client.name: client for client in clients}
        self._tokens: Final = {
            token.id: (token, bytes.fromhex(token.sha256), client)
            for client in self.clients.values()
            for token in client.tokens
        }

    def client_of(self, token: str, now: float) -> Client:
        """Return the client that has a token.

        Args:
            token: text of the token.
            now: seconds since 1970.

        Raises:
            TokenError: no client has it, or it has expired. The message does not contain it.
        """
        stored, sha256, client = self._tokens.get(id_of(token), (None, None, None))
        if not matches(token, sha256) or stored is None or client is None:
            raise TokenError(
                "token_unknown", "the token is not one of a client here; ask the gateway's operator for one"
            )
        if stored.is_expired(now):
            raise TokenError(
                "token_expired", f"the token {stored.id} of {client.name} has expired; use the one that replaced it"
            )
        return client


def read_clients(path: Path) -> tuple[Client, ...]:
    """Read a file of clients.

    Raises:
        SecurityError: the file cannot be read, is not such a file, or others may write it.
    """
    try:
        mode = path.stat().st_mode
        with path.open("rb") as file:
            contents = file.read(_MAX_BYTES + 1)
    except OSError as cause:
        raise SecurityError(
            f"the clients file {path} cannot be read ({cause.strerror}); `deephypebot tokens add NAME --clients-file "
            f"{path}` makes one"
        ) from cause
    if mode & _OTHERS_WRITE:
        raise SecurityError(f"others may write the clients file {path}: chmod 640 {path}")
    if len(contents) > _MAX_BYTES:
        raise SecurityError(f"the clients file {path} has more than {_MAX_BYTES} bytes")
    try:
        return clients_from(json.loads(contents))
    except (ValueError, TypeError, SecurityError) as fault:
        raise SecurityError(f"the clients file {path} is not usable: {fault}") from fault


def clients_from(document: Any) -> tuple[Client, ...]:
    """Return the clients of a JSON document.

    Raises:
        SecurityError: the document is not one of clients; the message names the place.
    """
    listed = _list(_object(document, "the file", {"clients"}), "clients", "the file")
    if len(listed) > MAX_CLIENTS:
        raise SecurityError(f"it lists {len(listed)} clients, and at most {MAX_CLIENTS} are possible")
    clients = tuple(_client(each, f"client {number}") for number, each in enumerate(listed, 1))
    names = [client.name for client in clients]
    ids = [token.id for client in clients for token in client.tokens]
    for kind, values in (("client", names), ("token", ids)):
        if twice := next((value for value in values if values.count(value) > 1), None):
            raise SecurityError(f"the {kind} {twice} is there twice")
    return clients


def clients_to(clients: Iterable[Client]) -> dict[str, Any]:
    """Return the JSON document of clients."""
    return {
        "clients": [
            {
                "name": client.name,
                **{name: value for name in _LIMITS if (value := getattr(client.limits, name))},
                "tokens": [
                    {
                        "id": token.id,
                        "sha256": token.sha256,
                        "created": as_text(token.created),
                        **({} if token.expires is None else {"expires": as_text(token.expires)}),
                    }
                    for token in client.tokens
                ],
            }
            for client in clients
        ]
    }


def as_text(seconds: float) -> str:
    """Return a time as a text that `datetime.fromisoformat` reads.

    Raises:
        SecurityError: it is after the year 9999.

    >>> as_text(0)
    '1970-01-01T00:00:00+00:00'
    """
    try:
        return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")
    except (ValueError, OverflowError, OSError) as fault:
        raise SecurityError("a token cannot expire after the year 9999; leave its end out") from fault


def _client(value: Any, place: str) -> Client:
    entry = _object(value, place, {"name", "tokens", *_LIMITS})
    name = _text(entry, "name", place)
    place = f"{place} ({name})"
    limits: dict[str, Any] = {}
    for limit in _LIMITS:
        number = entry.get(limit, 0)
        kinds = (int, float) if limit == "requests_per_s" else (int,)
        if isinstance(number, bool) or not isinstance(number, kinds):
            raise SecurityError(f"{limit} of {place} must be a number, got {number!r}")
        limits[limit] = number
    try:
        own = ClientLimits(**limits)
    except ValueError as fault:
        raise SecurityError(f"{place}: {fault}") from fault
    tokens = tuple(_token(each, f"a token of {place}") for each in _list(entry, "tokens", place))
    return Client(name=name, tokens=tokens, limits=own)


def _token(value: Any, place: str) -> StoredToken:
    entry = _object(value, place, {"id", "sha256", "created", "expires"})
    name, sha256 = _text(entry, "id", place), _text(entry, "sha256", place)
    if not _ID.fullmatch(name):
        raise SecurityError(f"the id of {place} has 8 hexadecimal digits, got {name!r}")
    if not _HASH.fullmatch(sha256):
        raise SecurityError(f"the sha256 of {place} must have 64 hexadecimal digits in lower case")
    created = _time(_text(entry, "created", place), f"created of {place}")
    expires = _time(_text(entry, "expires", place), f"expires of {place}") if "expires" in entry else None
    return StoredToken(id=name, sha256=sha256, created=created, expires=expires)


def _object(value: Any, place: str, allowed: set[str]) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise SecurityError(f"{place} must be a JSON object")
    if unknown := sorted(set(value) - allowed):
        raise SecurityError(f"{place} has no {', '.join(unknown)}; it may have {', '.join(sorted(allowed))}")
    return value


def _list(entry: Mapping[str, Any], name: str, place: str) -> list[Any]:
    value = entry.get(name)
    if not isinstance(value, list):
        raise SecurityError(f"{name} of {place} must be a list")
    return value


def _text(entry: Mapping[str, Any], name: str, place: str) -> str:
    value = entry.get(name)
    if not isinstance(value, str):
        raise SecurityError(f"{name} of {place} must be a text")
    return value


def _time(text: str, place: str) -> float:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as fault:
        raise SecurityError(f"{place} must be a time such as 2027-01-31T12:00:00+00:00, got {text!r}") from fault
    if moment.tzinfo is None:
        raise SecurityError(f"{place} must name its time zone, as in 2027-01-31T12:00:00+00:00, got {text!r}")
    return moment.timestamp()
