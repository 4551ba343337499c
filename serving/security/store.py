"""Changes of a file of clients: one at a time, whole or not at all, readable by its owner and group alone."""

from __future__ import annotations

import fcntl
import json
import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Final, TypeVar

from serving.errors import SecurityError
from serving.security.clients import MAX_CLIENTS, Client, clients_to, read_clients
from serving.security.settings import ClientLimits
from serving.security.tokens import new_token

_Result = TypeVar("_Result")

_MODE: Final = 0o600
_WIDEST_MODE: Final = 0o640


def add_client(path: Path, name: str, *, limits: ClientLimits, now: float, expires: float | None) -> str:
    """Add a client, and return its token, which is kept nowhere.

    Args:
        path: file of clients, which is made if there is none.
        name: name of the client.
        limits: its limits.
        now: seconds since 1970.
        expires: time from which the token is refused; None for never.

    Raises:
        SecurityError: there is a client of this name, or the file cannot be changed.
    """

    def add(clients: Sequence[Client]) -> tuple[Sequence[Client], str]:
        if any(client.name == name for client in clients):
            raise SecurityError(
                f"there is a client {name} already; `deephypebot tokens rotate {name}` replaces its token"
            )
        if len(clients) >= MAX_CLIENTS:
            raise SecurityError(f"there are {MAX_CLIENTS} clients, and no more are possible; revoke one of them")
        text, token = new_token(created=now, expires=expires, taken=_ids(clients))
        return [*clients, Client(name=name, tokens=(token,), limits=limits)], text

    return _change(path, add, may_be_new=True)


def rotate_token(path: Path, name: str, *, now: float, expires: float | None, old_until: float) -> str:
    """Give a client a new token beside its old ones, which expire, and return its text.

    Args:
        path: file of clients.
        name: name of the client.
        now: seconds since 1970.
        expires: time from which the new token is refused; None for never.
        old_until: time from which the old ones are refused, unless they are earlier.

    Raises:
        SecurityError: there is no such client, or the file cannot be changed.
    """

    def rotate(clients: Sequence[Client]) -> tuple[Sequence[Client], str]:
        client = _named(clients, name)
        text, token = new_token(created=now, expires=expires, taken=_ids(clients))
        old = (
            replace(each, expires=old_until if each.expires is None else min(each.expires, old_until))
            for each in client.tokens
        )
        tokens = (*(each for each in old if not each.is_expired(now)), token)
        return [replace(each, tokens=tokens) if each is client else each for each in clients], text

    return _change(path, rotate)


def revoke(path: Path, name: str, *, token: str = "") -> None:
    """Remove a client, or one of its tokens.

    Args:
        path: file of clients.
        name: name of the client.
        token: id of the token; empty removes the client.

    Raises:
        SecurityError: there is no such client or token, or the file cannot be changed.
    """

    def remove(clients: Sequence[Client]) -> tuple[Sequence[Client], None]:
        client = _named(clients, name)
        if not token:
            return [each for each in clients if each is not client], None
        kept = tuple(each for each in client.tokens if each.id != token)
        if len(kept) == len(client.tokens):
            known = ", ".join(each.id for each in client.tokens) or "none"
            raise SecurityError(f"{name} has no token {token}; its tokens are {known}")
        return [replace(each, tokens=kept) if each is client else each for each in clients], None

    _change(path, remove)


def _ids(clients: Sequence[Client]) -> list[str]:
    return [token.id for client in clients for token in client.tokens]


def _named(clients: Sequence[Client], name: str) -> Client:
    for client in clients:
        if client.name == name:
            return client
    known = ", ".join(client.name for client in clients) or "none"
    raise SecurityError(f"there is no client {name}; the clients are {known}")


def _change(
    path: Path, change: Callable[[Sequence[Client]], tuple[Sequence[Client], _Result]], *, may_be_new: bool = False
) -> _Result:
    try:
        with _locked(path):
            is_new = may_be_new and not path.exists()
            clients, result = change(() if is_new else read_clients(path))
            _write(path, clients)
    except OSError as cause:
        raise SecurityError(f"the clients file {path} cannot be written: {cause.strerror}") from cause
    return result


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Wait for other changes. The lock has a file of its own, since each change replaces the file of clients."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path.with_name(f".{path.name}.lock"), os.O_RDONLY | os.O_CREAT, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _write(path: Path, clients: Sequence[Client]) -> None:
    """Replace the file; its owner and group stay, and who may not read it yet may not read it afterwards."""
    before = path.stat() if path.exists() else None
    descriptor, scratch = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump(clients_to(clients), file, indent=2)
            file.write("\n")
            file.flush()
            if before is not None and (before.st_uid, before.st_gid) != (os.geteuid(), os.getegid()):
                os.fchown(file.fileno(), before.st_uid, before.st_gid)
            os.fchmod(file.fileno(), _MODE if before is None else before.st_mode & _WIDEST_MODE)
            os.fsync(file.fileno())
        Path(scratch).replace(path)
    except BaseException:
        with suppress(OSError):
            Path(scratch).unlink()
        raise
