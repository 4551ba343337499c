"""TLS of the gateway, with certificates of a real authority, over real connections."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import pytest

from serving.client import CommentaryClient, Credentials, CredentialsError, UnavailableError
from serving.errors import SecurityError
from serving.gateway.listening import check_address
from serving.security.parts import Security
from serving.security.settings import ClientLimits, SecuritySettings
from serving.security.store import add_client
from serving.v1 import commentary_pb2, commentary_pb2_grpc
from tests.serving.loopback_gateway import Bench, bench, until
from tests.serving.security.authority import Authority, Pair
from tests.serving.support import ONE_ATTEMPT, ask

OWN_CONNECTION = [("grpc.use_local_subchannel_pool", 1)]


def settings(pair: Pair, **values: Any) -> SecuritySettings:
    return SecuritySettings(tls_cert=pair.cert, tls_key=pair.key, **values)


async def answers(it: Bench, credentials: Credentials, target: str = "") -> bool:
    with CommentaryClient(target or it.target, retry=ONE_ATTEMPT, timeout_s=3, credentials=credentials) as client:
        try:
            answer = await asyncio.to_thread(client.generate, ask())
        except UnavailableError:
            return False
        return answer.model.version == "2"


def test_a_client_that_trusts_the_authority_is_answered_and_others_connect_to_nobody(tmp_path: Path) -> None:
    async def scene() -> None:
        authority, other = Authority(tmp_path), Authority(tmp_path, "other")
        async with bench(security=settings(authority.issue("gateway"))) as it:
            assert await answers(it, Credentials(ca=authority.ca))
            assert await answers(it, Credentials(ca=authority.ca), f"https://{it.target}")
            assert not await answers(it, Credentials(ca=other.ca))
            assert not await answers(it, Credentials(tls=True))
            assert not await answers(it, Credentials())
            with CommentaryClient(it.target, credentials=Credentials(ca=authority.ca)) as client:
                assert await asyncio.to_thread(client.is_serving)

    asyncio.run(scene())


def test_a_name_of_the_certificate_may_stand_for_the_address(tmp_path: Path) -> None:
    async def scene() -> None:
        authority = Authority(tmp_path)
        async with bench(security=settings(authority.issue("gateway", host="gateway.example"))) as it:
            assert await answers(it, Credentials(ca=authority.ca, server_name="gateway.example"))
            assert not await answers(it, Credentials(ca=authority.ca, server_name="other.example"))

    asyncio.run(scene())


def test_a_gateway_that_asks_for_certificates_answers_those_of_its_authority_alone(tmp_path: Path) -> None:
    async def scene() -> None:
        authority, other = Authority(tmp_path), Authority(tmp_path, "other")
        own, strange = authority.issue("bot"), other.issue("stranger")
        async with bench(security=settings(authority.issue("gateway"), tls_client_ca=authority.ca)) as it:
            shown = Credentials(ca=authority.ca, client_cert=own.cert, client_key=own.key)
            assert await answers(it, shown)
            assert not await answers(it, Credentials(ca=authority.ca))
            assert not await answers(it, Credentials(ca=authority.ca, client_cert=strange.cert, client_key=strange.key))

    asyncio.run(scene())


@pytest.mark.slow
def test_a_renewed_certificate_is_used_for_new_connections_and_breaks_no_old_one(tmp_path: Path) -> None:
    async def scene() -> None:
        authority, next_authority = Authority(tmp_path), Authority(tmp_path, "next")
        async with bench(security=settings(authority.issue("gateway"))) as it:
            credentials = grpc.ssl_channel_credentials(authority.ca.read_bytes())
            async with grpc.aio.secure_channel(it.target, credentials, options=OWN_CONNECTION) as channel:
                stub: Any = commentary_pb2_grpc.CommentaryStub(channel)
                await stub.Describe(commentary_pb2.DescribeRequest(), timeout=5)
                next_authority.issue("gateway")  # another authority signs, so that the change can be seen
                certificate = it.gateway.security.certificate
                assert certificate is not None
                before = certificate.value
                await asyncio.wait_for(until(lambda: certificate.value is not before), 10)
                assert await answers(it, Credentials(ca=next_authority.ca))
                assert not await answers(it, Credentials(ca=authority.ca))
                await stub.Describe(commentary_pb2.DescribeRequest(), timeout=5)  # the connection from before
                assert channel.get_state() is grpc.ChannelConnectivity.READY

    asyncio.run(scene())


@pytest.mark.slow
def test_a_broken_renewal_keeps_the_certificate_and_is_counted(tmp_path: Path) -> None:
    async def scene() -> None:
        authority = Authority(tmp_path)
        pair = authority.issue("gateway")
        async with bench(security=settings(pair)) as it:
            pair.cert.write_bytes(authority.issue("another").cert.read_bytes())  # without its key
            await asyncio.wait_for(until(lambda: it.gateway.security.reload_errors() == {"certificate": 1}), 10)
            assert await answers(it, Credentials(ca=authority.ca))
            authority.issue("gateway")  # whole again
            certificate = it.gateway.security.certificate
            assert certificate is not None
            before = certificate.value
            await asyncio.wait_for(until(lambda: certificate.value is not before), 10)
            assert await answers(it, Credentials(ca=authority.ca))

    asyncio.run(scene())


def remove_key(pair: Pair) -> None:
    pair.key.unlink()


def swap(pair: Pair) -> None:
    pair.cert.write_bytes(pair.key.read_bytes())


def empty(pair: Pair) -> None:
    pair.key.write_bytes(b"")


@pytest.mark.parametrize(
    ("spoil", "reason"), [(remove_key, "cannot be read"), (swap, "are not a PEM"), (empty, "not a PEM")]
)
def test_a_certificate_that_cannot_be_used_is_an_error_at_the_start(
    tmp_path: Path, spoil: Callable[[Pair], None], reason: str
) -> None:
    pair = Authority(tmp_path).issue("gateway")
    spoil(pair)
    with pytest.raises(SecurityError, match=reason):
        Security(settings(pair))


def test_a_client_ca_that_is_none_is_an_error_at_the_start(tmp_path: Path) -> None:
    pair = Authority(tmp_path).issue("gateway")
    with pytest.raises(SecurityError, match="no PEM certificates of authorities"):
        Security(settings(pair, tls_client_ca=pair.key))


def test_files_that_belong_together_are_named() -> None:
    with pytest.raises(SecurityError, match="--tls-cert and --tls-key"):
        SecuritySettings(tls_cert=Path("a"))
    with pytest.raises(SecurityError, match="--tls-client-ca needs --tls-cert"):
        SecuritySettings(tls_client_ca=Path("a"))
    with pytest.raises(CredentialsError, match="give both"):
        Credentials(client_cert=Path("a"))


@pytest.mark.parametrize(
    ("values", "is_enough"), [({}, False), ({"clients_file": Path("c")}, True), ({"tls_client_ca": Path("a")}, True)]
)
def test_other_machines_may_reach_a_gateway_that_encrypts_and_knows_its_clients(
    values: dict[str, Any], is_enough: bool
) -> None:
    security = SecuritySettings(tls_cert=Path("c"), tls_key=Path("k"), **values)
    if is_enough:
        check_address("0.0.0.0", 0, security)  # noqa: S104 - what an operator asks for
    else:
        with pytest.raises(SecurityError, match="--clients-file or --tls-client-ca"):
            check_address("0.0.0.0", 0, security)  # noqa: S104 - what is refused


def test_tokens_without_tls_are_not_enough_for_other_machines(tmp_path: Path) -> None:
    path = tmp_path / "clients.json"
    add_client(path, "bot", limits=ClientLimits(), now=0, expires=None)
    with pytest.raises(SecurityError, match="--tls-cert"):
        check_address("0.0.0.0", 0, SecuritySettings(clients_file=path))  # noqa: S104 - what is refused
