"""The commands of `tokens`, as the shell runs them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from deephypebot import build_app
from serving.security.clients import ClientBook, TokenError, read_clients

NOW = 1_800_000_000.0


@pytest.fixture(autouse=True)
def clients_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "clients.json"
    monkeypatch.setenv("DEEPHYPEBOT_CLIENTS_FILE", str(path))
    monkeypatch.setattr("time.time", lambda: NOW)
    return path


def run(*words: str) -> Result:
    return CliRunner().invoke(build_app(["tokens"]), ["tokens", *words])


def added(*words: str) -> str:
    result = run("add", *words)
    assert result.exit_code == 0, result.output
    return result.stdout.strip()


def test_add_prints_the_token_alone_and_it_lets_the_client_in(clients_file: Path) -> None:
    token = added("bot", "--max-calls", "3", "--max-connections", "2", "--requests-per-s", "1.5", "--days", "1")
    client = ClientBook(read_clients(clients_file)).client_of(token, NOW + 86_399)
    assert (client.limits.max_calls, client.limits.max_connections, client.limits.requests_per_s) == (3, 2, 1.5)
    with pytest.raises(TokenError, match="expired"):
        ClientBook(read_clients(clients_file)).client_of(token, NOW + 86_400)


def test_list_shows_clients_and_ids_of_tokens_and_neither_tokens_nor_hashes(clients_file: Path) -> None:
    tokens = [added("bot", "--max-calls", "3"), added("studio", "--days", "1")]
    shown = run("list").output
    document: dict[str, Any] = json.loads(run("list", "--json").output)
    assert [client["name"] for client in document["clients"]] == ["bot", "studio"]
    assert document["clients"][0]["max_calls"] == 3
    for text in (shown, json.dumps(document)):
        for token in tokens:
            name, secret = token.split("_", 2)[1:]
            assert name in text
            assert secret not in text
        for client in read_clients(clients_file):
            assert client.tokens[0].sha256 not in text
    assert "does not expire" in shown
    assert "until 2027-01-16" in shown


def test_rotate_keeps_the_old_token_for_as_long_as_it_says(clients_file: Path) -> None:
    old = added("bot")
    new = run("rotate", "bot", "--keep", "2").stdout.strip()
    book = ClientBook(read_clients(clients_file))
    assert book.client_of(old, NOW + 7_199).name == book.client_of(new, NOW + 7_200).name == "bot"
    with pytest.raises(TokenError, match="expired"):
        book.client_of(old, NOW + 7_200)


def test_revoke_removes_a_token_or_the_client(clients_file: Path) -> None:
    old = added("bot")
    new = run("rotate", "bot").stdout.strip()
    assert run("revoke", "bot", "--token", old.split("_")[1]).exit_code == 0
    assert ClientBook(read_clients(clients_file)).client_of(new, NOW).name == "bot"
    assert run("revoke", "bot").exit_code == 0
    assert read_clients(clients_file) == ()


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("rotate", "nobody"), "there is no client nobody"),
        (("add", "a b"), "letters, digits"),
        (("add", "bot", "--days", "1e12"), "year 9999"),
        (("revoke", "bot", "--token", "1"), "bot has no token 1"),
    ],
)
def test_a_mistake_is_an_error_of_ours_that_says_what_to_do(words: tuple[str, ...], reason: str) -> None:
    added("other")
    if words[0] == "revoke":
        added("bot")
    result = run(*words)
    assert result.exit_code != 0
    assert reason in str(result.exception)


def test_without_a_file_the_command_asks_for_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DEEPHYPEBOT_CLIENTS_FILE")
    result = run("list")
    assert result.exit_code == 2
    assert "--clients-file" in result.output
