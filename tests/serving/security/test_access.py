import grpc
import pytest

from serving.security.access import REASONS, Access, AccessError, Permit
from serving.security.clients import Client, ClientBook
from serving.security.settings import ClientLimits
from serving.security.tokens import new_token

ONE, TWO, OTHER = "ipv4:10.0.0.1:1001", "ipv4:10.0.0.1:1002", "ipv4:10.0.0.2:1001"
TEXT, KEPT = new_token(created=0, expires=None)


def of_tokens(**limits: float) -> Access:
    client = Client(name="bot", tokens=(KEPT,), limits=ClientLimits(**limits))  # type: ignore[arg-type]
    return Access(ClientLimits(max_calls=9), lambda: ClientBook([client]))


def refusal(access: Access, authorization: str | None = None, peer: str = ONE) -> AccessError:
    with pytest.raises(AccessError) as caught:
        access.enter(authorization, peer)
    return caught.value


@pytest.mark.parametrize(
    ("authorization", "reason"),
    [
        (None, "token_missing"),
        ("", "token_missing"),
        ("Bearer ", "token_missing"),
        (f"Basic {TEXT}", "token_missing"),
        (TEXT, "token_missing"),
        ("Bearer x", "token_unknown"),
        (f"Bearer {TEXT}x", "token_unknown"),
        ("Bearer " + "x" * 100_000, "token_unknown"),
    ],
    # A token is new in each process, and the processes of a parallel run have to agree on the names of the tests.
    ids=["none", "empty", "no token", "basic", "no scheme", "short", "one more", "long"],
)
def test_without_a_known_token_nobody_is_let_in(authorization: str | None, reason: str) -> None:
    access = of_tokens()
    fault = refusal(access, authorization)
    assert (fault.code, fault.reason, fault.retry_after_ms) == (grpc.StatusCode.UNAUTHENTICATED, reason, None)
    assert TEXT not in str(fault)
    assert access.denied == {name: int(name == reason) for name in REASONS}


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
def test_a_client_with_its_token_is_let_in_and_counted_by_its_name(scheme: str) -> None:
    access = of_tokens()
    assert access.enter(f"{scheme} {TEXT}", ONE).client == "bot"
    assert access.calls_by_client() == {"bot": 1}


def test_a_call_above_the_limit_is_refused_until_one_ends() -> None:
    access = of_tokens(max_calls=2)
    permits = [access.enter(f"Bearer {TEXT}", peer) for peer in (ONE, TWO)]
    fault = refusal(access, f"Bearer {TEXT}", OTHER)
    assert (fault.code, fault.reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "client_calls")
    assert fault.retry_after_ms
    permits[0].close()
    access.enter(f"Bearer {TEXT}", OTHER)


def test_a_client_without_limits_of_its_own_has_those_of_all() -> None:
    access = of_tokens()
    for _ in range(9):
        access.enter(f"Bearer {TEXT}", ONE)
    assert refusal(access, f"Bearer {TEXT}").reason == "client_calls"


def test_where_there_are_no_tokens_each_address_has_the_limits() -> None:
    access = Access(ClientLimits(max_calls=1))
    first = access.enter(None, ONE)
    assert refusal(access, None, TWO).reason == "client_calls"
    access.enter(None, OTHER)
    first.close()
    access.enter(None, TWO)
    assert access.calls_by_client() == {}


def test_calls_on_a_further_connection_are_refused_and_those_on_a_known_one_are_not() -> None:
    access = Access(ClientLimits(max_connections=1))
    permits = [access.enter(None, ONE) for _ in range(2)]
    assert refusal(access, None, TWO).reason == "client_connections"
    permits[0].close()
    assert refusal(access, None, TWO).reason == "client_connections"
    permits[1].close()
    access.enter(None, TWO)


def test_a_rate_lets_a_seconds_worth_begin_at_once_and_then_as_many_as_it_says() -> None:
    now = 0.0
    access = Access(ClientLimits(requests_per_s=4), timer=lambda: now)
    begun, refused = 0, []
    for step in range(101):
        now = step / 10
        for _ in range(10):
            try:
                access.enter(None, ONE).close()
            except AccessError as fault:
                refused.append((fault.reason, fault.retry_after_ms or 0))
            else:
                begun += 1
    assert begun == 4 + 40
    assert all(reason == "client_rate" and 50 <= pause <= 400 for reason, pause in refused)


def test_the_pause_doubles_with_each_refusal_up_to_five_seconds() -> None:
    access = Access(ClientLimits(max_calls=1))
    held = access.enter(None, ONE)
    pauses = [refusal(access).retry_after_ms or 0 for _ in range(12)]
    assert 25 <= pauses[0] <= 50
    assert 2_500 <= pauses[-1] <= 5_000
    held.close()
    access.enter(None, ONE)
    assert (refusal(access).retry_after_ms or 0) <= 50


def test_addresses_that_hold_nothing_take_no_memory() -> None:
    access = Access(ClientLimits(max_calls=1))
    for number in range(10_000):
        access.enter(None, f"ipv4:10.{number // 256}.{number % 256}.1:9").close()
    assert access._usages == {}


def test_addresses_whose_rate_is_theirs_again_are_forgotten() -> None:
    now = 0.0
    access = Access(ClientLimits(requests_per_s=1), timer=lambda: now)
    for number in range(20_000):
        now = float(number)
        access.enter(None, f"ipv4:10.{number // 256}.{number % 256}.1:9").close()
    assert len(access._usages) < 5_000


def test_a_client_that_is_revoked_while_it_asks_ends_its_call_in_peace() -> None:
    clients = [Client(name="bot", tokens=(KEPT,))]
    access = Access(ClientLimits(), lambda: ClientBook(clients))
    permit: Permit = access.enter(f"Bearer {TEXT}", ONE)
    clients.clear()
    permit.close()
    assert refusal(access, f"Bearer {TEXT}").reason == "token_unknown"
    assert access.calls_by_client() == {}
