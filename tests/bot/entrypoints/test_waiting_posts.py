"""What accepted posts wait for, in the terminal, and the confirmation of a second post about a song."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer import Typer
from typer.testing import CliRunner

from bot.adapters.sqlite.store import SqliteStore
from bot.domain.errors import StaleVerdictError, UnknownCandidateError
from bot.domain.outgoing_posts import OutgoingPostStatus
from bot.domain.source_posts import SourcePost
from bot.entrypoints.cli import app_bot
from bot.entrypoints.queue_cli import app_queue
from tests.bot.helpers.studio_world import accept, add_song, post

POSTING = '[post]\nto = "file"\ndry_run = false\nhours = "0-24 UTC"\n'


@pytest.fixture
def config(store: SqliteStore, database: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Settings of a bot that posts to a file, with two candidates of one song and one of another, all accepted."""
    add_song(store, SourcePost(id="1", text="Slow Lamp by Ona Vell"), ["One lamp.", "Two lamps."])
    add_song(store, SourcePost(id="2", text="Fern by Ona Vell"), ["A fern."], title="Fern")
    accept(store, "1.1.1", "1.1.2", "2.1.1")
    monkeypatch.setenv("COLUMNS", "200")
    path = database.parent / "bot.toml"
    path.write_text(f'workspace = "{database.parent.as_posix()}"\ntarget = "127.0.0.1:1"\n{POSTING}')
    return path


def run(app: Typer, config: Path, *arguments: str) -> str:
    command = [*arguments, "--config", str(config)]
    result = CliRunner().invoke(app, command, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return " ".join(result.stdout.split())


def test_the_list_and_each_candidate_say_what_the_post_waits_for(config: Path) -> None:
    shown = run(app_queue, config, "list", "--status", "accepted")
    assert shown.count("held until") == 1
    assert "leaves at " in shown or "leaves on " in shown
    assert "(gap of 30 minutes)" in shown
    second = run(app_queue, config, "show", "1.1.2")
    assert "another post about this song is before it (1.1.1)" in second
    assert "deephypebot queue confirm 1.1.2" in second


def test_a_second_post_about_a_song_leaves_when_it_is_confirmed(config: Path) -> None:
    assert run(app_queue, config, "confirm", "1.1.2", "--who", "jo") == ""
    assert "another post about this song" not in run(app_queue, config, "list")
    run(app_queue, config, "undo", "1.1.2")
    run(app_queue, config, "accept", "1.1.2")
    assert "another post about this song" in run(app_queue, config, "list")


def test_accepting_says_how_long_the_post_can_be_taken_back(config: Path) -> None:
    run(app_queue, config, "undo", "1.1.1")
    command = ["accept", "1.1.1", "--config", str(config)]
    told = CliRunner().invoke(app_queue, command, catch_exceptions=False).stderr
    assert "1.1.1: another post about this song is before it (1.1.2)" in told
    run(app_queue, config, "undo", "1.1.1", "1.1.2", "2.1.1")
    told = CliRunner().invoke(app_queue, command, catch_exceptions=False).stderr
    assert "1.1.1: held until " in told
    config.write_text(config.read_text().replace("dry_run = false", ""))
    assert "held" not in CliRunner().invoke(app_queue, command, catch_exceptions=False).stderr


def test_only_an_accepted_post_that_is_not_out_is_confirmed(config: Path, store: SqliteStore) -> None:
    post(store, "1.1.1", OutgoingPostStatus.SENT, external_id="7")
    with pytest.raises(StaleVerdictError, match=r"the post of 1\.1\.1 is sent, so there is nothing to confirm"):
        run(app_queue, config, "confirm", "1.1.1")
    with pytest.raises(UnknownCandidateError, match=r"9\.9\.9"):
        run(app_queue, config, "confirm", "9.9.9")


def test_status_says_what_leaves_next_and_what_waits_for_a_person(config: Path, store: SqliteStore) -> None:
    shown = run(app_bot, config, "status")
    assert "to send 3 accepted posts" in shown
    assert "1.1.1: held until " in shown
    assert "so that it can be taken back 2.1.1: leaves " in shown
    assert "1.1.2: another post about this song is before it (1.1.1); to send it all the same:" in shown
    post(store, "1.1.1", OutgoingPostStatus.SENT, external_id="7")
    shown = run(app_bot, config, "status")
    assert "1.1.2: a post about this song left at " in shown
    config.write_text(config.read_text() + "per_day = 1\nmin_gap = 0\nhold = 0\n")
    assert "(1 post in 24 hours reached)" in run(app_bot, config, "status")


@pytest.mark.parametrize(
    ("replaced", "reason"),
    [
        ('to = "file"', "posting is off; choose a network with [post] to"),
        ("dry_run = false", "posts are only printed; set [post] dry_run = false"),
    ],
)
def test_status_and_list_say_that_nothing_is_posted(config: Path, replaced: str, reason: str) -> None:
    config.write_text(config.read_text().replace(replaced, ""))
    shown = run(app_bot, config, "status")
    assert f"to send 3 accepted posts {reason}" in shown
    assert "held until" not in shown
    assert run(app_queue, config, "list").count(reason.partition(";")[0]) == 3
