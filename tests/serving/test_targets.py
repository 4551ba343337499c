from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.client import CommentaryClient, RequestError
from serving.targets import TargetError, parse_target


@pytest.mark.parametrize(
    ("text", "target"),
    [
        ("127.0.0.1:50051", "127.0.0.1:50051"),
        (" gateway.example:443 ", "gateway.example:443"),
        ("http://127.0.0.1:50051", "127.0.0.1:50051"),
        ("HTTP://gateway:50051/", "gateway:50051"),
        ("grpc://gateway:50051", "gateway:50051"),
        ("[::1]:50051", "[::1]:50051"),
        ("http://[2001:db8::7]:50051", "[2001:db8::7]:50051"),
        ("::1:50051", "[::1]:50051"),
        ("dns:///gateway.example:50051", "dns:///gateway.example:50051"),
        ("ipv6:[::1]:50051", "ipv6:[::1]:50051"),
        ("unix:/run/gateway.sock", "unix:/run/gateway.sock"),
        ("café.example:50051", "xn--caf-dma.example:50051"),
        ("my_gateway-1.example.:50051", "my_gateway-1.example.:50051"),
    ],
)
def test_addresses_are_understood_as_people_write_them(text: str, target: str) -> None:
    assert parse_target(text) == target


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "'' is not a host with a port, as in 127.0.0.1:50051"),
        ("localhost", "'localhost' is not a host with a port"),
        ("localhost:", "is not a host with a port"),
        ("localhost:grpc", "is not a host with a port"),
        ("ftp://gateway:1", "asks for ftp"),
        ("http://gateway:50051/path", "is not a host with a port"),
        ("localhost:0", "must be from 1 to 65535"),
        ("localhost:65536", "must be from 1 to 65535"),
        ("::1", "is not a host with a port"),
        ("::1:8080", r"is not a host with a port, as in .*\[::1\]:50051"),  # an address by itself, or one with a port
        ("[gateway]:50051", r"\[gateway\] in the target .* is not an IPv6 address"),
        ("me@gateway:50051", "'me@gateway' in the target 'me@gateway:50051' is not the name of a host"),
        ("gateway?x=1:50051", "is not the name of a host"),
        ("..é:1", "is not the name of a host"),
        ("two words:1", "is not a host with a port"),
    ],
)
def test_a_target_that_is_not_an_address_is_refused_by_name(text: str, message: str) -> None:
    with pytest.raises(TargetError, match=message):
        parse_target(text)


def test_a_wrong_target_is_in_the_errors_of_a_request_and_a_value_error() -> None:
    for kind in (RequestError, ValueError):
        with pytest.raises(kind, match="is not a host with a port"):
            CommentaryClient("localhost")


@given(st.text())
def test_any_text_is_an_address_or_refused(text: str) -> None:
    with suppress(TargetError):
        assert parse_target(parse_target(text)) == parse_target(text)
