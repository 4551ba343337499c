"""Credentials of a client: how it verifies the gateway, and how it shows who it is."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import grpc

from foundation.commentary_errors import RequestError
from foundation.loopback import is_loopback

VARIABLES: Final = {
    "ca": "DEEPHYPEBOT_CA",
    "client_cert": "DEEPHYPEBOT_CLIENT_CERT",
    "client_key": "DEEPHYPEBOT_CLIENT_KEY",
    "server_name": "DEEPHYPEBOT_SERVER_NAME",
    "token": "DEEPHYPEBOT_TOKEN",
    "token_file": "DEEPHYPEBOT_TOKEN_FILE",
}
"""Environment variables from which `Credentials.from_environment` takes each value."""
_PATHS: Final = ("ca", "client_cert", "client_key", "token_file")
PATH_VARIABLES: Final = tuple(VARIABLES[name] for name in _PATHS)
"""Variables whose values are paths."""
_LOCAL: Final = ("unix:", "unix-abstract:")
_SERVER_NAME_OPTION: Final = "grpc.ssl_target_name_override"


class CredentialsError(RequestError, ValueError):
    """Credentials cannot be used: a file is missing, or a token would be sent in the clear."""

    def __init__(self, message: str) -> None:
        super().__init__("INVALID_ARGUMENT", message)


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """Certificates by which a client verifies the gateway, and those and the token that it shows.

    Raises:
        CredentialsError: a certificate lacks its key or the other way round, or there are two sources of the token.
    """

    tls: bool = False
    """Whether to speak TLS; so it is where there is a `ca` or `client_cert`, too, or a target begins with `https://`.
    """
    ca: Path | None = None
    """PEM file of the authorities that vouch for the gateway; None for those that gRPC brings."""
    client_cert: Path | None = None
    """PEM file of the client's certificate, for a gateway that asks for one."""
    client_key: Path | None = None
    """PEM file of its key."""
    server_name: str = ""
    """Name in the gateway's certificate, where it is not that of the target."""
    token: str = field(default="", repr=False)
    """Bearer token."""
    token_file: Path | None = None
    """File of the token, which is read again when it changes; instead of `token`."""

    def __post_init__(self) -> None:
        if (self.client_cert is None) != (self.client_key is None):
            raise CredentialsError("a client's certificate and its key belong together: give both, or none")
        if self.token and self.token_file is not None:
            raise CredentialsError("give a token or a file of it, not both")

    @classmethod
    def from_environment(cls, **given: Path | str | None) -> Credentials:
        """Return the credentials that the environment names; see `VARIABLES`.

        Args:
            given: values that stand instead of the environment's; None for one that is not given.

        Raises:
            CredentialsError: they contradict each other.
        """
        values: dict[str, Any] = {
            name: Path(value) if name in _PATHS else value
            for name, variable in VARIABLES.items()
            if (value := given.get(name) or os.environ.get(variable))
        }
        if given.get("token_file"):
            values.pop("token", None)
        return cls(**values)

    @property
    def speak_tls(self) -> bool:
        """Whether they ask for TLS by themselves."""
        return self.tls or self.ca is not None or self.client_cert is not None

    def channel_credentials(self) -> grpc.ChannelCredentials:
        """Return what a secure channel is opened with.

        Raises:
            CredentialsError: a file cannot be read.
        """
        return grpc.ssl_channel_credentials(_read(self.ca), _read(self.client_key), _read(self.client_cert))

    @property
    def channel_options(self) -> tuple[tuple[str, str], ...]:
        """Options that a channel needs for them."""
        return ((_SERVER_NAME_OPTION, self.server_name),) if self.server_name else ()


class BearerToken:
    """Metadata of each call, with the token if there is one.

    Args:
        credentials: token, or file of it.
        target: address of the gateway, as gRPC takes it.
        is_secure: whether the connection is encrypted.

    Raises:
        CredentialsError: the token would be sent to another machine in the clear, or its file cannot be read.
    """

    def __init__(self, credentials: Credentials, *, target: str, is_secure: bool) -> None:
        self._file = credentials.token_file
        self._seen: tuple[int, int] | None = None
        self._metadata: tuple[tuple[str, str], ...] = _bearing(credentials.token) if credentials.token else ()
        if (self._file or self._metadata) and not is_secure and not _is_local(target):
            raise CredentialsError(
                f"the token would go to {target} in the clear, where others can read it: speak TLS (--ca, "
                "DEEPHYPEBOT_CA, or https:// before the target)"
            )
        self.metadata()

    def metadata(self) -> tuple[tuple[str, str], ...]:
        """Return the metadata of a call; the file of the token is read again if it has changed.

        Raises:
            CredentialsError: the file cannot be read.
        """
        if self._file is None:
            return self._metadata
        try:
            status = self._file.stat()
            if (seen := (status.st_mtime_ns, status.st_ino)) != self._seen:
                self._metadata = _bearing(self._file.read_text(encoding="utf-8").strip())
                self._seen = seen
        except (OSError, ValueError) as cause:
            # The token that was there may still be valid, and a file that is being written is empty for a moment.
            if not self._metadata:
                raise CredentialsError(f"the token file {self._file} cannot be used: {cause}") from cause
        return self._metadata


def _bearing(token: str) -> tuple[tuple[str, str], ...]:
    if not token or not token.isascii() or not token.isprintable() or " " in token:
        raise CredentialsError("the token must be one word of ASCII characters, as `deephypebot tokens add` prints it")
    return (("authorization", f"Bearer {token}"),)


def _is_local(target: str) -> bool:
    """Return whether a target is on this machine.

    >>> _is_local("127.0.0.1:50051"), _is_local("ipv4:127.0.0.1:1,127.0.0.1:2")
    (True, True)
    >>> _is_local("dns:///gateway.example:50051")
    False
    """
    if target.startswith(_LOCAL):
        return True
    addresses = target.rpartition("/")[2]
    if addresses.startswith(("ipv4:", "ipv6:", "dns:")):
        addresses = addresses.partition(":")[2]
    hosts = (address.rpartition(":")[0].strip("[]") for address in addresses.split(","))
    return all(is_loopback(host) for host in hosts)


def _read(path: Path | None) -> bytes | None:
    if path is None:
        return None
    try:
        return path.read_bytes()
    except OSError as cause:
        raise CredentialsError(f"{path} cannot be read ({cause.strerror})") from cause
