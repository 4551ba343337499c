"""Reasons and corrections in the terminal: given, kept from what is posted, and written for other programs."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from bot.adapters.sqlite.desk import SqliteDesk
from bot.adapters.sqlite.store import SqliteStore
from bot.domain.candidates import CandidateStatus
from bot.domain.errors import StaleVerdictError
from bot.domain.outgoing_posts import OutgoingPostStatus
from bot.domain.source_posts import SourcePost
from bot.entrypoints.queue_cli import app_queue
from bot.ports import Correction, SongLabel
from tests.bot.helpers.studio_world import accept, add_song, post


@pytest.fixture
def workspace_of_two(store: SqliteStore, database: Path) -> Path:
    """A workspace with two songs of two candidates each."""
    add_song(
        store, SourcePost(id="1", text="My neighbour – practice"), ["a", "b"], artist="My neighbour", title="practice"
    )
    add_song(store, SourcePost(id="2", text="Slow Lamp by Ona Vell"), ["c", "d"])
    return database.parent


def run(*arguments: object) -> str:
    result = CliRunner().invoke(app_queue, [str(argument) for argument in arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


def test_a_reason_is_kept_with_its_rejection_and_exported(workspace_of_two: Path) -> None:
    run("reject", "1.1.1", "--reason", "makes no sense", "--who", "jo", "--workspace", workspace_of_two)
    run("reject", "1.1.2", "--workspace", workspace_of_two)
    rows = list(csv.DictReader(run("export", "--workspace", workspace_of_two).splitlines()))
    assert [row["reason"] for row in rows] == ["makes no sense", "", "", ""]
    refused = CliRunner().invoke(app_queue, ["reject", "1.1.1", "--reason", "because"])
    assert refused.exit_code == 2
    assert "because" in refused.output


def test_judgements_of_songs_are_written_with_the_text_of_the_post(workspace_of_two: Path, database: Path) -> None:
    with SqliteDesk(database) as desk:
        seen = {"1.1.1": 0, "1.1.2": 0}
        desk.correct(Correction(place="1.1", label=SongLabel.NO_SONG, who="ana", seen=seen))
    out = workspace_of_two / "labels.jsonl"
    run("labels", "--out", out, "--workspace", workspace_of_two)
    (label,) = map(json.loads, out.read_text().splitlines())
    assert label["label"] == "no song"
    assert label["text"] == "My neighbour – practice"
    assert (label["artists"], label["title"]) == (["My neighbour"], "practice")
    rows = list(csv.DictReader(run("export", "--workspace", workspace_of_two).splitlines()))
    assert [(row["status"], row["withdrawn"]) for row in rows[:2]] == [("rejected", "no song")] * 2


@pytest.mark.parametrize("command", ["undo", "reject", "accept"])
def test_the_verdict_on_a_post_that_may_be_out_stays(workspace_of_two: Path, store: SqliteStore, command: str) -> None:
    accept(store, "1.1.1")
    post(store, "1.1.1", OutgoingPostStatus.SENT, external_id="77")
    with pytest.raises(StaleVerdictError, match=r"1\.1\.1 is posted, or being posted: its verdict stays; nothing was"):
        CliRunner().invoke(
            app_queue, [command, "2.1.1", "1.1.1", "--workspace", str(workspace_of_two)], catch_exceptions=False
        )
    assert [row.candidate.status for row in store.rows()] == [
        CandidateStatus.ACCEPTED,
        *[CandidateStatus.WAITING] * 3,
    ]
