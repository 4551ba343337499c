"""Addresses of gateways, as people write them."""

from __future__ import annotations

import re
from ipaddress import AddressValueError, IPv6Address
from typing import Final

from foundation.commentary_errors import RequestError

_RESOLVED_BY_GRPC: Final = ("dns:", "ipv4:", "ipv6:", "unix:", "unix-abstract:", "xds:", "vsock:")
_WEB: Final = re.compile(r"(?P<scheme>[a-z][a-z0-9+.-]*)://(?P<rest>.*)", re.IGNORECASE)
_HOST_AND_PORT: Final = re.compile(r"(?P<host>\[[^\]]*\]|[^:\[\]/\s]+):(?P<port>[0-9]+)")
_PLAIN_SCHEMES: Final = ("http", "grpc")
_TLS_SCHEMES: Final = ("https", "grpcs")
_NAME: Final = re.compile(r"[A-Za-z0-9._-]+")
_MAX_PORT: Final = 65535
_EXAMPLE: Final = "as in 127.0.0.1:50051, [::1]:50051 or dns:///gateway.example:50051"


class TargetError(RequestError, ValueError):
    """The address of a gateway cannot be understood."""

    def __init__(self, message: str) -> None:
        super().__init__("INVALID_ARGUMENT", message)


def parse_target(text: str) -> str:
    """Return the address of a gateway as gRPC takes it.

    `http://` and `https://` before the address are left out, the latter asks for TLS (`asks_for_tls`). The addresses
    that gRPC resolves by itself (`dns:///gateway.example:50051`, `unix:/run/gateway.sock`) are left as they are.

    Raises:
        TargetError: the text is not an address with a port, or asks for another protocol.

    >>> parse_target("http://127.0.0.1:50051/"), parse_target("::1:50051")
    ('127.0.0.1:50051', '[::1]:50051')
    """
    target = text.strip()
    if target.casefold().startswith(_RESOLVED_BY_GRPC):
        return target
    if match := _WEB.fullmatch(target):
        if match["scheme"].casefold() not in {*_PLAIN_SCHEMES, *_TLS_SCHEMES}:
            raise TargetError(
                f"the target {text!r} asks for {match['scheme']}, and a gateway speaks gRPC: leave the scheme out, or "
                f"write https:// for TLS, {_EXAMPLE}"
            )
        target = match["rest"].rstrip("/")
    match = _HOST_AND_PORT.fullmatch(_bracketed(target))
    if match is None:
        raise TargetError(f"the target {text!r} is not a host with a port, {_EXAMPLE}")
    if not 0 < int(match["port"]) <= _MAX_PORT:
        raise TargetError(f"the port of the target {text!r} must be from 1 to {_MAX_PORT}")
    if match["host"].startswith("[") and not _is_ipv6(match["host"][1:-1]):
        raise TargetError(f"{match['host']} in the target {text!r} is not an IPv6 address, {_EXAMPLE}")
    host = match["host"] if match["host"].startswith("[") else _ascii_name(match["host"], text)
    return f"{host}:{match['port']}"


def asks_for_tls(text: str) -> bool:
    """Return whether a target, as a person writes it, asks for TLS by its scheme.

    >>> asks_for_tls("https://gateway.example:50051"), asks_for_tls("gateway.example:50051")
    (True, False)
    """
    match = _WEB.fullmatch(text.strip())
    return match is not None and match["scheme"].casefold() in _TLS_SCHEMES


def names_several(target: str) -> bool:
    """Return whether calls to a target, as gRPC takes it, may go to several gateways.

    >>> names_several("dns:///gateway.example:50051"), names_several("ipv4:127.0.0.1:1,127.0.0.1:2")
    (True, True)
    >>> names_several("127.0.0.1:50051")
    False
    """
    scheme = target.partition(":")[0].casefold()
    return scheme == "dns" or (scheme in {"ipv4", "ipv6"} and "," in target)


def _ascii_name(host: str, text: str) -> str:
    """Return a host's name as it is looked up, `xn--caf-dma.example` for `café.example`."""
    try:
        name = host if host.isascii() else host.encode("idna").decode("ascii")
    except UnicodeError:
        name = ""
    if not _NAME.fullmatch(name):
        raise TargetError(f"{host!r} in the target {text!r} is not the name of a host, {_EXAMPLE}")
    return name


def _bracketed(target: str) -> str:
    """Put an IPv6 address without brackets into them, unless its port may as well be a part of it."""
    host, _, port = target.rpartition(":")
    if target.startswith("[") or ":" not in host:
        return target
    return f"[{host}]:{port}" if _is_ipv6(host) and not _is_ipv6(target) else target


def _is_ipv6(text: str) -> bool:
    try:
        IPv6Address(text)
    except AddressValueError:
        return False
    return True
