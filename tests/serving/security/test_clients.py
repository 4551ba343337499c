import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.errors import SecurityError
from serving.security.clients import Client, ClientBook, TokenError, clients_from, clients_to, read_clients
from serving.security.settings import ClientLimits
from serving.security.tokens import StoredToken, new_token

HASH = "0" * 64
TOKEN = {"id": "0a1b2c3d", "sha256": HASH, "created": "2026-11-30T00:00:00+00:00"}


def entry(**values: Any) -> dict[str, Any]:
    return {"name": "bot", "tokens": [TOKEN], **values}


times = st.integers(0, 4_000_000_000).map(float)
tokens = st.builds(
    StoredToken,
    id=st.text("0123456789abcdef", min_size=8, max_size=8),
    sha256=st.text("0123456789abcdef", min_size=64, max_size=64),
    created=times,
    expires=st.none() | times,
)
limits = st.builds(
    ClientLimits,
    max_calls=st.integers(0, 10_000),
    max_connections=st.integers(0, 10_000),
    requests_per_s=st.floats(0, 1e6),
)
clients = st.lists(
    st.builds(
        Client,
        name=st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", fullmatch=True),
        tokens=st.lists(tokens, max_size=3).map(tuple),
        limits=limits,
    ),
    max_size=3,
    unique_by=lambda client: client.name,
).filter(lambda found: len({t.id for c in found for t in c.tokens}) == sum(len(c.tokens) for c in found))


@given(clients)
def test_a_file_holds_clients_as_they_are(listed: list[Client]) -> None:
    assert clients_from(json.loads(json.dumps(clients_to(listed)))) == tuple(listed)


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        ([], "the file must be a JSON object"),
        ({}, "clients of the file must be a list"),
        ({"clients": [], "more": 1}, "has no more"),
        ({"clients": [1]}, "client 1 must be a JSON object"),
        ({"clients": [{"tokens": []}]}, "name of client 1 must be a text"),
        ({"clients": [entry(name="")]}, "name of a client has 1 to 64"),
        ({"clients": [entry(name="a b")]}, "name of a client has 1 to 64"),
        ({"clients": [entry(name="x" * 65)]}, "name of a client has 1 to 64"),
        ({"clients": [entry(max_calls=-1)]}, "max_calls must be at least 0"),
        ({"clients": [entry(max_calls=1.5)]}, r"max_calls of client 1 \(bot\) must be a number"),
        ({"clients": [entry(max_calls=True)]}, "max_calls of client 1"),
        ({"clients": [entry(requests_per_s=float("inf"))]}, "requests_per_s must be at least 0 and finite"),
        ({"clients": [entry(max_call=3)]}, "has no max_call"),
        ({"clients": [entry(tokens=None)]}, "tokens of client 1"),
        ({"clients": [entry(tokens=[TOKEN | {"sha256": "xyz"}])]}, "64 hexadecimal digits"),
        ({"clients": [entry(tokens=[TOKEN | {"id": "1"}])]}, "8 hexadecimal digits"),
        ({"clients": [entry(tokens=[TOKEN | {"created": "now"}])]}, "created of a token of client 1 .* must be a time"),
        ({"clients": [entry(tokens=[TOKEN | {"expires": "2026-01-01T00:00:00"}])]}, "time zone"),
        ({"clients": [entry(), entry()]}, "client bot is there twice"),
        ({"clients": [entry(), entry(name="other")]}, "token 0a1b2c3d is there twice"),
        ({"clients": [entry(name=f"c{n}", tokens=[]) for n in range(1001)]}, "1001 clients"),
    ],
)
def test_a_document_that_is_not_one_is_refused_with_its_place(document: Any, reason: str) -> None:
    with pytest.raises(SecurityError, match=reason):
        clients_from(document)


def test_a_file_that_cannot_be_read_is_named_with_the_way_out(tmp_path: Path) -> None:
    path = tmp_path / "clients.json"
    with pytest.raises(SecurityError, match=f"{path} cannot be read.*tokens add NAME --clients-file {path}"):
        read_clients(path)
    path.write_text('{"clients": [')
    path.chmod(0o600)
    with pytest.raises(SecurityError, match=f"{path} is not usable"):
        read_clients(path)
    path.write_bytes(b"\xff\xfe\xfd")
    with pytest.raises(SecurityError, match="not usable"):
        read_clients(path)


@pytest.mark.parametrize("mode", [0o666, 0o620, 0o602])
def test_a_file_that_others_may_write_is_refused(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "clients.json"
    path.write_text('{"clients": []}')
    path.chmod(mode)
    with pytest.raises(SecurityError, match="chmod 640"):
        read_clients(path)


def test_each_token_of_a_client_lets_it_in_until_it_expires() -> None:
    (old, kept_old), (new, kept_new) = (new_token(created=0, expires=expires) for expires in (100.0, None))
    book = ClientBook([Client(name="bot", tokens=(kept_old, kept_new))])
    assert book.client_of(old, 99).name == book.client_of(new, 99).name == "bot"
    with pytest.raises(TokenError, match=f"the token {kept_old.id} of bot has expired") as caught:
        book.client_of(old, 100)
    assert caught.value.reason == "token_expired"
    assert old not in str(caught.value)
    assert book.client_of(new, 1e12).name == "bot"


def test_a_token_with_a_known_id_and_another_secret_lets_nobody_in_and_is_not_told() -> None:
    text, kept = new_token(created=0, expires=None)
    book = ClientBook([Client(name="bot", tokens=(kept,))])
    for wrong in (text[:-1] + ("A" if text[-1] != "A" else "B"), f"dhb_{kept.id}_", kept.sha256, ""):
        with pytest.raises(TokenError) as caught:
            book.client_of(wrong, 0)
        assert caught.value.reason == "token_unknown"
        assert not wrong or wrong not in str(caught.value)
