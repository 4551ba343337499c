from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bot.adapters.sheets.board import SheetsBoard
from bot.adapters.sheets.cells import COLUMNS
from bot.adapters.sheets.client import read_service_account
from bot.domain.errors import (
    CredentialsError,
    DoubtfulError,
    InputError,
    NetworkError,
    NetworkUnavailableError,
    RateLimitedError,
    SettingsError,
)
from bot.ports import BoardRow
from bot.sandbox.server import SandboxServer
from tests.bot.helpers.sandbox_clients import open_book
from tests.bot.helpers.sheets_board import SOURCE_POST_ID, fields_of, make_row, open_board


@pytest.fixture
def board(sandbox: SandboxServer) -> SheetsBoard:
    board = open_board(sandbox)
    board.prepare()
    return board


def test_a_new_sheet_gets_a_header_and_a_drop_down(sandbox: SandboxServer, board: SheetsBoard) -> None:
    assert sandbox.control.sheet("queue") == [list(COLUMNS)]
    board.append([make_row()])
    with pytest.raises(RuntimeError, match="takes one of"):
        sandbox.control.edit("queue", f"{SOURCE_POST_ID}.1.1", "status", "perhaps")


def test_a_row_holds_what_the_curator_needs(sandbox: SandboxServer, board: SheetsBoard) -> None:
    board.append([make_row()])
    assert fields_of(sandbox) == [
        {
            "candidate_id": f"{SOURCE_POST_ID}.1.1",
            "status": "waiting",
            "commentary": "slow and careful",
            "curator": "",
            "spotifyquery": "Ona Vell - Moss",
            "spotifygenres": "dream pop, slowcore",
            "flags": "profanity, too long",
            "variant": "lcgan 2",
            "score": "-2.5",
            "tweet": "“Moss” by Ona Vell",
            "source": "https://x.com/a/status/1",
            "tweetid": SOURCE_POST_ID,
            "date": "2026-01-04T10:00:00Z",
        }
    ]


def test_a_row_says_which_genres_were_asked_for_instead(sandbox: SandboxServer, board: SheetsBoard) -> None:
    row = make_row()
    report = replace(row.candidate.report, genres=("reggae",), genres_asked=("jazz rap",))
    board.append([replace(row, candidate=replace(row.candidate, report=report))])
    assert [shown["spotifygenres"] for shown in fields_of(sandbox)] == ["reggae -> jazz rap"]


@pytest.mark.slow
@pytest.mark.parametrize(
    "text", ["=IMPORTXML(1)", "+1", "-1", "@name", "1e9", "TRUE", "two\nlines", "音楽 🎧", " spaced "]
)
def test_a_text_stays_what_it_is(board: SheetsBoard, text: str) -> None:
    board.append([make_row(text=text)])
    assert [row.text for row in board.rows()] == [text]


def test_rows_are_known_by_their_id_whatever_curators_do(sandbox: SandboxServer, board: SheetsBoard) -> None:
    board.append([make_row(1, "b"), make_row(2, "a")])
    sandbox.control.sort("queue", "commentary")
    sandbox.control.edit("queue", f"{SOURCE_POST_ID}.1.1", "status", "accepted")
    sandbox.control.edit("queue", f"{SOURCE_POST_ID}.1.1", "commentary", "b, edited")
    sandbox.control.edit("queue", f"{SOURCE_POST_ID}.1.1", "curator", "Ada")
    board.append([make_row(3, "c")])
    assert list(board.rows()) == [
        BoardRow(candidate_id=f"{SOURCE_POST_ID}.1.2", status="waiting", text="a"),
        BoardRow(candidate_id=f"{SOURCE_POST_ID}.1.1", status="accepted", text="b, edited", who="Ada"),
        BoardRow(candidate_id=f"{SOURCE_POST_ID}.1.3", status="waiting", text="c"),
    ]
    assert board.ids() == {f"{SOURCE_POST_ID}.1.{number}" for number in (1, 2, 3)}


def test_columns_are_known_by_their_header_and_those_of_the_curators_are_left_alone(sandbox: SandboxServer) -> None:
    mine = open_book(sandbox).add_worksheet("queue", rows=5, cols=6)
    mine.update([["note", "commentary", "status", "candidate_id"], ["keep", "a", "accepted", "7.1.1"]], "A1")
    board = open_board(sandbox)
    board.prepare()
    assert board.ids() == {"7.1.1"}
    board.append([make_row()])
    assert fields_of(sandbox) == [
        {"note": "keep", "commentary": "a", "status": "accepted", "candidate_id": "7.1.1"},
        {"note": "", "commentary": "slow and careful", "status": "waiting", "candidate_id": f"{SOURCE_POST_ID}.1.1"},
    ]


def test_preparing_again_changes_nothing(sandbox: SandboxServer, board: SheetsBoard) -> None:
    board.append([make_row()])
    before = sandbox.control.sheet("queue")
    sandbox.control.forget_calls()
    open_board(sandbox).prepare()
    assert sandbox.control.sheet("queue") == before
    assert {call["operation"] for call in sandbox.control.calls()} <= {"google.token", "sheets.get", "sheets.values"}


@pytest.mark.parametrize("skip", [0, 1, 2])
def test_preparing_that_was_broken_off_is_taken_up_again(sandbox: SandboxServer, skip: int) -> None:
    sandbox.control.fail("sheets.batch_update", status=503, applied=True, skip=skip)
    with pytest.raises(NetworkUnavailableError):
        open_board(sandbox).prepare()
    board = open_board(sandbox)
    board.prepare()
    board.append([make_row()])
    assert sandbox.control.sheet("queue")[0] == list(COLUMNS)
    with pytest.raises(RuntimeError, match="takes one of"):
        sandbox.control.edit("queue", f"{SOURCE_POST_ID}.1.1", "status", "perhaps")


def test_a_tab_that_holds_something_else_is_not_written_to(sandbox: SandboxServer) -> None:
    mine = open_book(sandbox).add_worksheet("queue", rows=5, cols=6)
    mine.update([["shopping", "price"]], "A1")
    with pytest.raises(InputError, match="candidate_id, status, commentary"):
        open_board(sandbox).prepare()
    assert sandbox.control.sheet("queue") == [["shopping", "price"]]


def test_a_sheet_longer_than_a_block_is_read_whole(sandbox: SandboxServer) -> None:
    board = open_board(sandbox, timeout_s=10)  # thousands of rows take a busy machine more than a second
    board.prepare()
    open_book(sandbox).worksheet("queue").append_rows(
        [[f"{number}.1.1", "waiting", f"text {number}"] for number in range(5_001)],
        insert_data_option="INSERT_ROWS",  # type: ignore[arg-type]  # the string is what the enumeration becomes
    )
    rows = list(board.rows())
    assert len(rows) == 5_001
    assert rows[-1] == BoardRow(candidate_id="5000.1.1", status="waiting", text="text 5000")


def test_a_row_without_an_id_is_none_of_the_bots(sandbox: SandboxServer, board: SheetsBoard) -> None:
    book = open_book(sandbox)
    book.worksheet("queue").append_rows([["", "accepted", "a curator's own line"], ["7.1.1", "waiting"]])
    assert list(board.rows()) == [BoardRow(candidate_id="7.1.1", status="waiting", text="")]


@pytest.mark.slow
@pytest.mark.parametrize("applied", [False, True])
@pytest.mark.parametrize(
    "fault",
    [
        {"status": 500},
        {"status": 503},
        {"kind": "html", "status": 502},
        {"kind": "html", "status": 200},
        {"kind": "truncated"},
        {"kind": "hang", "delay_s": 2},
    ],
)
def test_an_append_without_a_clear_answer_is_in_doubt_and_sent_once(
    sandbox: SandboxServer, board: SheetsBoard, fault: Mapping[str, Any], *, applied: bool
) -> None:
    sandbox.control.fail("sheets.append", applied=applied, **fault)
    with pytest.raises(DoubtfulError):
        board.append([make_row(1), make_row(2)])
    assert len(sandbox.control.calls("sheets.append")) == 1
    assert len(board.ids()) == 2 * applied


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ({"status": 429}, RateLimitedError),
        ({"status": 403}, CredentialsError),
        ({"status": 400}, NetworkUnavailableError),
    ],
)
def test_an_append_that_was_refused_was_not_applied(
    sandbox: SandboxServer, board: SheetsBoard, fault: Mapping[str, Any], error: type[NetworkError]
) -> None:
    sandbox.control.fail("sheets.append", **fault)
    with pytest.raises(NetworkError) as caught:
        board.append([make_row()])
    assert type(caught.value) is error
    assert board.ids() == set()


def test_a_drop_down_that_could_not_be_set_is_set_with_the_next_append(
    sandbox: SandboxServer, board: SheetsBoard
) -> None:
    sandbox.control.fail("sheets.batch_update", status=500)
    board.append([make_row(1)])
    board.append([make_row(2)])
    for number in (1, 2):
        with pytest.raises(RuntimeError, match="takes one of"):
            sandbox.control.edit("queue", f"{SOURCE_POST_ID}.1.{number}", "status", "perhaps")


@pytest.mark.slow
@pytest.mark.parametrize(
    "fault",
    [
        {"status": 500},
        {"kind": "html", "status": 502},
        {"kind": "html", "status": 200},
        {"kind": "json", "status": 200, "document": {"what": None}},
        {"kind": "json", "status": 200, "document": ["what"]},
        {"kind": "truncated"},
        {"kind": "hang", "delay_s": 2},
    ],
)
def test_a_fault_while_reading_is_no_end(sandbox: SandboxServer, board: SheetsBoard, fault: Mapping[str, Any]) -> None:
    board.append([make_row()])
    sandbox.control.fail("sheets.batch_get", **fault)
    with pytest.raises(NetworkUnavailableError):
        list(board.rows())
    assert len(list(board.rows())) == 1


def test_an_expired_token_is_renewed_and_the_rows_are_there_once(sandbox: SandboxServer, board: SheetsBoard) -> None:
    sandbox.control.fail("sheets.append", kind="expired")
    board.append([make_row()])
    assert board.ids() == {f"{SOURCE_POST_ID}.1.1"}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ({"status": 400}, CredentialsError),
        ({"status": 503, "times": 9}, NetworkUnavailableError),
        ({"kind": "hang", "delay_s": 2}, NetworkUnavailableError),
    ],
)
def test_without_a_token_nothing_was_applied(
    sandbox: SandboxServer, fault: Mapping[str, Any], error: type[NetworkError]
) -> None:
    open_board(sandbox).prepare()
    board = open_board(sandbox)
    sandbox.control.fail("google.token", **fault)
    with pytest.raises(NetworkError) as caught:
        board.append([make_row()])
    assert type(caught.value) is error


def test_a_network_that_is_away_has_taken_nothing(sandbox: SandboxServer) -> None:
    away = open_board(sandbox, base_url="http://127.0.0.1:9")
    with pytest.raises(NetworkUnavailableError):
        away.append([make_row()])
    with pytest.raises(NetworkUnavailableError):
        away.check()


@pytest.mark.parametrize(("status", "way_out"), [(403, "share it"), (404, "copy the part")])
def test_a_sheet_that_cannot_be_opened_says_what_to_do(sandbox: SandboxServer, status: int, way_out: str) -> None:
    sandbox.control.fail("sheets.get", status=status)
    with pytest.raises(CredentialsError, match=way_out):
        open_board(sandbox).check()


def test_which_sheet_it_is_can_be_asked(board: SheetsBoard) -> None:
    assert board.check() == "Queue of the bot, tab 'queue'"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "cannot be read"),
        ("{", "not valid JSON"),
        ("[]", "not a service account's key"),
        ('{"type": "authorized_user"}', "not a service account's key"),
    ],
)
def test_a_key_file_that_is_none_is_refused(tmp_path: Path, content: str | None, reason: str) -> None:
    path = tmp_path / "key.json"
    if content is not None:
        path.write_text(content, encoding="utf-8")
    with pytest.raises(SettingsError, match=reason):
        read_service_account(path)


def test_a_key_that_misses_something_is_refused_and_not_shown(sandbox: SandboxServer) -> None:
    account = sandbox.settings.google.service_account
    half = account["private_key"][:300]
    with pytest.raises(SettingsError) as caught:
        open_board(sandbox, service_account=json.loads(json.dumps(account | {"private_key": half})))
    assert half[60:120] not in str(caught.value)
    with pytest.raises(SettingsError, match="token_uri"):
        open_board(sandbox, service_account={key: value for key, value in account.items() if key != "token_uri"})
