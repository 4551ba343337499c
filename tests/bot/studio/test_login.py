"""A studio that other machines can reach lets nobody in without the token."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
import typer
from typer.testing import CliRunner

from bot.adapters.sqlite.store import SqliteStore
from bot.domain.errors import InputError
from bot.entrypoints.options import curator_name
from bot.settings import load
from bot.studio.cli import studio as command
from bot.studio.server import local_parts, running

TOKEN = "a-token-of-some-length"  # noqa: S105 -- made up


@pytest.fixture
def reachable(filled: SqliteStore, database: Path) -> Iterator[str]:
    """Address of a studio that asks for the token."""
    filled.close()
    with contextlib.ExitStack() as stack:
        parts = stack.enter_context(local_parts(load(workspace=database.parent, target="127.0.0.1:9"), who="ana"))
        yield stack.enter_context(running(parts, port=0, host="127.0.0.1", access_token=TOKEN))


def get(address: str, session: requests.Session | None = None, **options: Any) -> requests.Response:
    ask = session or requests.Session()
    return ask.get(address, timeout=10, allow_redirects=False, headers={"Accept": "text/html"}, **options)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "studio.example"])  # noqa: S104 -- that is what is refused
def test_other_machines_are_not_let_in_without_a_token(host: str, database: Path, filled: SqliteStore) -> None:
    filled.close()
    with (
        local_parts(load(workspace=database.parent, target="127.0.0.1:9"), who="ana") as parts,
        pytest.raises(InputError, match="DEEPHYPEBOT_STUDIO_TOKEN"),
        running(parts, port=0, host=host),
    ):
        pass


def test_a_short_token_is_refused(database: Path, filled: SqliteStore) -> None:
    filled.close()
    with (
        local_parts(load(workspace=database.parent, target="127.0.0.1:9"), who="ana") as parts,
        pytest.raises(InputError, match="at least 16 characters, got 5"),
        running(parts, port=0, access_token="short"),  # noqa: S106 -- made up
    ):
        pass


@pytest.mark.parametrize("path", ["", "posted", "try", "models", "experiments", "experiments/a", "waiting", "nothing"])
def test_without_the_login_every_page_leads_there(reachable: str, path: str) -> None:
    answer = get(reachable + path)
    assert (answer.status_code, answer.headers["location"]) == (303, "/login")
    assert "Slow Lamp" not in answer.text
    assert requests.post(reachable + "verdicts", data={}, timeout=10).status_code == 401
    forged = get(reachable + path, cookies={"deephypebot_studio": TOKEN})
    assert forged.status_code == 303


def test_the_form_and_a_link_let_in_who_knows_the_token(reachable: str) -> None:
    assert 'type="password"' in get(reachable + "login").text
    for log_in in (
        lambda session: session.post(reachable + "login", data={"token": TOKEN}, timeout=10, allow_redirects=False),
        lambda session: get(f"{reachable}login?token={TOKEN}", session),
    ):
        session = requests.Session()
        answer = log_in(session)
        assert (answer.status_code, answer.headers["location"]) == (303, "/")
        cookie = answer.headers["set-cookie"]
        assert "HttpOnly" in cookie
        assert "SameSite=lax" in cookie
        assert TOKEN not in cookie
        page = get(reachable, session)
        assert page.status_code == 200
        assert "Slow Lamp" in page.text


@pytest.mark.parametrize("token", ["", "wrong", TOKEN[:-1], TOKEN + "x", "\ud83d"])
def test_a_wrong_token_lets_nobody_in(reachable: str, token: str) -> None:
    body = b"token=" + token.encode("utf-8", "surrogatepass")
    answer = requests.post(reachable + "login", data=body, timeout=10, allow_redirects=False)
    assert answer.status_code == 403
    assert "set-cookie" not in answer.headers


def test_another_name_of_the_host_is_served_behind_the_token(reachable: str) -> None:
    cookie = get(f"{reachable}login?token={TOKEN}").headers["set-cookie"].partition(";")[0]
    headers = {"Host": "studio.example", "Accept": "text/html"}
    assert requests.get(reachable, headers={**headers, "Cookie": cookie}, timeout=10).status_code == 200
    stranger = requests.get(reachable, headers=headers, timeout=10, allow_redirects=False)
    assert stranger.status_code == 303


def test_a_user_without_a_name_gets_one_of_its_number(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(os, "getuid", lambda: 4_000_000)
    assert curator_name(None) == "user 4000000"
    assert curator_name("bo") == "bo"


def test_the_command_refuses_to_listen_to_others_without_a_token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DEEPHYPEBOT_STUDIO_TOKEN", raising=False)
    app = typer.Typer()
    app.command()(command)
    run: Callable[..., Any] = CliRunner().invoke
    result = run(app, ["--host", "0.0.0.0"])  # noqa: S104 -- that is what is refused
    assert isinstance(result.exception, InputError)
