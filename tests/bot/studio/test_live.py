"""Requests of an open page: changed cards, the post of an edit; and the token that outlives a restart."""

from __future__ import annotations

import json
import os
import re
import stat
from html import unescape
from pathlib import Path
from urllib.parse import urlencode

import pytest

from bot.adapters.sqlite.store import SqliteStore
from bot.studio.security import TOKEN_FILE, kept_token
from tests.bot.helpers.studio_browser import statuses
from tests.bot.helpers.studio_world import Answer, Client, accept

FIRST, SECOND, THIRD = "101.1.1", "101.1.2", "101.1.3"
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


def ask(studio: Client, path: str, fields: list[tuple[str, str]], **headers: str) -> Answer:
    return studio.ask("POST", path, body=urlencode(fields), **{**FORM, **headers})


def test_only_cards_that_others_changed_are_sent_again_with_the_counts(studio: Client, filled: SqliteStore) -> None:
    shown = [("candidate", FIRST), ("state", "0 "), ("candidate", SECOND), ("state", "0 ")]
    assert "data-id" not in ask(studio, "/changed", shown).text
    accept(filled, SECOND)
    answer = ask(studio, "/changed", shown)
    assert [unescape(name) for name in re.findall(r'data-id="([^"]*)"', answer.text)] == [SECOND]
    assert "Accepted</b> by <bdi>jo" in answer.text
    assert 'data-accepted="1"' in answer.text


@pytest.mark.parametrize(
    ("fields", "status"),
    [([("candidate", FIRST)], 400), ([("candidate", "nobody"), ("state", "0 ")], 404), ([("state", "0 ")], 400)],
)
def test_a_request_for_changes_that_makes_no_sense_is_refused(
    studio: Client, fields: list[tuple[str, str]], status: int
) -> None:
    assert ask(studio, "/changed", fields).status == status


def test_the_preview_of_an_edit_is_the_post_counted_by_its_network(studio: Client) -> None:
    answer = ask(studio, "/preview", [("candidate", FIRST), ("text", "Warm and slow.\r\nTwice.")])
    assert json.loads(answer.text) == {
        "text": "Ona Vell – Slow Lamp: Warm and slow.\nTwice.",
        "length": 43,
        "max_length": 280,
        "network": "X",
        "objection": "",
    }
    too_long = json.loads(ask(studio, "/preview", [("candidate", FIRST), ("text", "long " * 70)]).text)
    assert too_long["length"] > 280
    assert "too long" in too_long["objection"]
    assert ask(studio, "/preview", [("candidate", "nobody"), ("text", "x")]).status == 404


@pytest.mark.parametrize("path", ["/changed", "/preview"])
def test_other_sites_are_told_nothing(studio: Client, path: str) -> None:
    fields = [("candidate", FIRST), ("state", ""), ("text", "x")]
    assert ask(studio, path, fields, Origin="http://evil.example").status == 403
    assert studio.get(path).status == 405


def test_a_rest_is_rejected_in_the_step_that_accepts_one_or_not_at_all(studio: Client, filled: SqliteStore) -> None:
    accepted = [("decision", "accept"), ("candidate", FIRST), ("seen", "0")]
    accept(filled, THIRD)
    stale = [("rest", SECOND), ("rest_seen", "0"), ("rest", THIRD), ("rest_seen", "0")]
    assert studio.decide([*accepted, *stale]).status == 409
    assert statuses(filled, FIRST, SECOND) == ["waiting", "waiting"]
    assert studio.decide([*accepted, ("rest", SECOND), ("rest_seen", "0")]).status == 303
    assert statuses(filled, FIRST, SECOND) == ["accepted", "rejected"]


@pytest.mark.parametrize(
    "fields",
    [
        [("decision", "reject"), ("rest", SECOND), ("rest_seen", "0")],
        [("decision", "accept"), ("rest", SECOND)],
        [("decision", "accept"), ("rest", SECOND), ("rest_seen", "-1")],
    ],
)
def test_a_rest_that_makes_no_sense_is_refused(
    studio: Client, filled: SqliteStore, fields: list[tuple[str, str]]
) -> None:
    assert studio.decide([*fields, ("candidate", FIRST), ("seen", "0")]).status == 400
    assert statuses(filled, FIRST, SECOND) == ["waiting", "waiting"]


def test_static_files_are_kept_by_browsers_under_the_name_of_their_contents(studio: Client) -> None:
    page = studio.get("/").text
    (script,) = re.findall(r'<script type="module" src="([^"]+)"', page)
    answer = studio.get(script)
    assert answer.status == 200
    assert "immutable" in answer.headers["cache-control"]
    modules = re.findall(r'<link rel="modulepreload" href="([^"]+)"', page)
    assert script in modules
    for module in modules:
        for name in re.findall(r'from "\./([^"]+)"', studio.get(module).text):
            assert script.replace("main.js", name) in modules


def test_the_token_of_a_workspace_stays_and_is_its_owners_alone(tmp_path: Path) -> None:
    token = kept_token(tmp_path)
    assert kept_token(tmp_path) == token
    assert stat.S_IMODE((tmp_path / TOKEN_FILE).stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.iterdir()] == [TOKEN_FILE]
    (tmp_path / TOKEN_FILE).chmod(0o644)
    assert kept_token(tmp_path) == token
    assert stat.S_IMODE((tmp_path / TOKEN_FILE).stat().st_mode) == 0o600


@pytest.mark.parametrize("text", [b"", b"short", b"x" * 33, b"\xff" * 32, b'<"> ' * 8])
def test_a_token_file_that_holds_none_is_replaced(tmp_path: Path, text: bytes) -> None:
    (tmp_path / TOKEN_FILE).write_bytes(text)
    token = kept_token(tmp_path)
    assert re.fullmatch(r"[A-Za-z0-9_-]{32}", token)
    assert kept_token(tmp_path) == token


def test_a_workspace_that_cannot_be_written_gets_a_token_for_one_run(tmp_path: Path) -> None:
    (tmp_path / TOKEN_FILE).mkdir()
    assert kept_token(tmp_path) != kept_token(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [TOKEN_FILE]
    assert os.access(tmp_path, os.W_OK)
