"""A backup that is restored posts nothing twice, on any network, killed at any moment, with a sheet or without.

The real tweepy, atproto, Mastodon.py and gspread speak to stand-ins on loopback. `make kills` kills at every moment.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from bot.adapters.sqlite.backup import back_up
from bot.adapters.sqlite.restore import restore
from bot.adapters.sqlite.store import SqliteStore
from bot.domain.candidates import CandidateStatus, Decision, Verdict
from bot.domain.errors import InputError, StoreError
from bot.entrypoints.cli import app_bot
from bot.sandbox.server import SandboxServer
from bot.settings import BotSettings
from tests.bot.helpers.killed_bot import Countdown, CountedCommentary
from tests.bot.helpers.networked import TAB, bot_settings, contents, one_pass, people_post
from tests.bot.helpers.table_board import fill

ROOT = Path(__file__).resolve().parents[3]
STRIDE = int(os.environ.get("DEEPHYPEBOT_KILL_STRIDE", "21"))


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_a_restore_killed_at_any_moment_posts_nothing_twice_and_knows_what_is_out(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.bot.helpers.killed_restore", str(tmp_path), str(STRIDE)]
    printed = subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT, timeout=1100).stdout
    runs: list[dict[str, Any]] = [json.loads(line) for line in printed.splitlines()]
    assert {run["network"] for run in runs} == {"bluesky", "x", "mastodon"}
    assert sum(not run["killed"] for run in runs) == 3
    assert max(run["step"] for run in runs) > 200
    for run in runs:
        after = run["after"]
        assert len(after["texts"]) == len(set(after["texts"])) == 6, run
        assert sorted(shown for *_, shown in after["posts"]) == after["texts"], run
        assert {(network, status) for _, network, status, _ in after["posts"]} == {(run["network"], "sent")}, run
        assert after["counted"] == 6, run
        assert [verdict[1:] for verdict in after["verdicts"]] == [["accept", "ana"]] * 6, run


@pytest.fixture
def sandbox() -> Iterator[SandboxServer]:
    with SandboxServer(enforce_limits=False) as server:
        yield server


def run_passes(settings: BotSettings, sandbox: SandboxServer, count: int) -> None:
    for _ in range(count):
        summary = one_pass(settings, sandbox.control, CountedCommentary(Countdown(0)))
        assert summary.problems == []


@pytest.mark.slow
@pytest.mark.parametrize("passes", range(5))
def test_rows_verdicts_and_posts_of_a_sheet_are_those_of_a_bot_that_was_never_restored(
    sandbox: SandboxServer, tmp_path: Path, passes: int
) -> None:
    """The backup is made after some passes, and restored when everything is done."""
    people_post(sandbox.control)
    settings = bot_settings(tmp_path / "workspace", sandbox.settings)
    SqliteStore(settings.database).close()
    run_passes(settings, sandbox, passes)
    back_up(settings.database, tmp_path / "copy.db")
    run_passes(settings, sandbox, 5 - passes)
    done = contents(settings, sandbox.control)
    assert len(done["posted"]) == 5
    restore(tmp_path / "copy.db", settings.database)
    run_passes(settings, sandbox, 4)
    assert contents(settings, sandbox.control) == done
    ids = [row[0] for row in sandbox.control.sheet(TAB)[1:]]
    assert len(ids) == len(set(ids)) == 6


@pytest.mark.slow
def test_a_verdict_of_the_studio_that_the_sheet_shows_already_is_not_one_more(
    sandbox: SandboxServer, tmp_path: Path
) -> None:
    people_post(sandbox.control)
    settings = bot_settings(tmp_path / "workspace", sandbox.settings)
    run_passes(settings, sandbox, 1)
    with SqliteStore(settings.database) as store:
        name = next(row.candidate.id for row in store.rows(status=CandidateStatus.WAITING))
        store.decide([Verdict(candidate_id=name, decision=Decision.REJECT, who="bo")])
    back_up(settings.database, tmp_path / "copy.db")
    run_passes(settings, sandbox, 4)
    done = contents(settings, sandbox.control)
    restore(tmp_path / "copy.db", settings.database)
    run_passes(settings, sandbox, 4)
    assert contents(settings, sandbox.control) == done


def invoke(*arguments: object, typed: str = "") -> str:
    runner = CliRunner(env={"COLUMNS": "200"})
    result = runner.invoke(app_bot, list(map(str, arguments)), catch_exceptions=False, input=typed)
    assert result.exit_code == 0, result.output
    return result.output


def test_the_commands_say_what_is_in_a_backup_where_the_old_database_is_and_what_is_waited_for(
    store: SqliteStore, database: Path, tmp_path: Path
) -> None:
    fill(store, 2)
    copy, workspace = tmp_path / "copy.db", ("--workspace", database.parent)
    assert "1 source post, 1 song, 2 candidates, 0 verdicts, 0 posts" in invoke("backup", copy, *workspace)
    with pytest.raises(StoreError, match="stop it first"):
        invoke("restore", copy, *workspace)
    store.close()
    said = invoke("restore", copy, *workspace)
    assert "1 song, 2 candidates" in said
    assert "kept as" in said
    status = ("status", *workspace, "--target", "127.0.0.1:9")
    assert "Nothing is sent until the account's posts since then are read" in invoke(*status)
    with pytest.raises(InputError, match="nothing was changed"):
        invoke("restore", "--trust", *workspace, typed="n")
    assert "restored" in invoke(*status)
    invoke("restore", "--trust", "--yes", *workspace)
    assert "restored" not in invoke(*status)
    with pytest.raises(InputError, match="waits for nothing"):
        invoke("restore", "--trust", "--yes", *workspace)


def test_restore_needs_a_file_or_trust_and_not_both(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="name the file"):
        invoke("restore", "--workspace", tmp_path)
    with pytest.raises(InputError, match="takes no file"):
        invoke("restore", tmp_path / "copy.db", "--trust", "--workspace", tmp_path)
    with pytest.raises(StoreError, match="no bot has run"):
        invoke("restore", "--trust", "--workspace", tmp_path)
