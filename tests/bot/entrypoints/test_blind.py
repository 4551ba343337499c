"""Nothing that the commands print or write tells the version of a candidate before its song is decided."""

from __future__ import annotations

import csv
import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from prometheus_client import generate_latest
from typer import Typer
from typer.testing import CliRunner

from bot.adapters.sqlite.store import SqliteStore
from bot.entrypoints.cli import app_bot
from bot.entrypoints.queue_cli import app_queue
from bot.entrypoints.queue_picture import write_queue_picture
from bot.observe.metrics import StateCollector, registry
from tests.bot.helpers.blind_songs import EXPERIMENT, EXPOSURES, TRACE, VERSIONS, add_blind_song, decide, told


def outputs(store: SqliteStore, song: list[str], folder: Path) -> dict[str, str]:
    """Everything that the commands print and write about a song."""
    workspace = ("--workspace", str(store._path.parent))
    commands: dict[str, tuple[Typer, list[str]]] = {
        "list": (app_queue, ["list"]),
        "list of those that wait": (app_queue, ["list", "--status", "waiting"]),
        "list as JSON": (app_queue, ["list", "--json"]),
        "show": (app_queue, ["show", *song]),
        "export": (app_queue, ["export"]),
        "export as JSON": (app_queue, ["export", "--format", "jsonl"]),
        "labels": (app_queue, ["labels"]),
        "status": (app_bot, ["status", "--target", "127.0.0.1:1"]),
    }
    found = {}
    for name, (app, arguments) in commands.items():
        result = CliRunner(env={"COLUMNS": "220"}).invoke(app, [*arguments, *workspace])
        assert result.exit_code == 0, (name, result.output)
        found[name] = result.output
    write_queue_picture(store._path.parent, folder / "queue.svg")
    metrics = generate_latest(registry(StateCollector(store.state, lambda: datetime.now(UTC)))).decode()
    return {**found, "metrics": metrics, "picture": (folder / "queue.svg").read_text(encoding="utf-8")}


@pytest.mark.parametrize("decided", [0, 1, 3])
def test_no_command_tells_a_version_while_a_candidate_of_the_song_waits(
    store: SqliteStore, tmp_path: Path, decided: int
) -> None:
    song = add_blind_song(store)
    decide(store, *song[:decided])
    assert {name: told(text) for name, text in outputs(store, song, tmp_path).items() if told(text)} == {}


def test_the_commands_tell_it_when_the_song_is_decided(store: SqliteStore, tmp_path: Path) -> None:
    song = add_blind_song(store)
    decide(store, *song)
    found = outputs(store, song, tmp_path)
    for name in ("list", "list as JSON", "show", "export", "export as JSON", "status", "metrics", "picture"):
        assert set(VERSIONS.values()) <= set(told(found[name])), name
    rows = [json.loads(line) for line in found["list as JSON"].splitlines()]
    assert [row["model_version"] for row in rows] == [VERSIONS[arm] for arm in "ABBA"]
    assert [row["exposure_id"] for row in rows] == [EXPOSURES[arm] for arm in "ABBA"]
    assert {row["trace_id"] for row in rows} == {TRACE}


def test_an_export_names_the_experiment_and_leaves_the_rest_empty(store: SqliteStore, tmp_path: Path) -> None:
    add_blind_song(store)
    path = tmp_path / "queue.csv"
    CliRunner().invoke(app_queue, ["export", "--out", str(path), "--workspace", str(store._path.parent)])
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    hidden = ("model_version", "seed", "log_prob", "finish_reason", "exposure_id")
    assert [[row[name] for name in hidden] for row in rows] == [[""] * 5] * 4
    assert {(row["experiment"], row["model"]) for row in rows} == {(EXPERIMENT, "lcgan")}


def test_show_says_when_the_version_will_be_told(store: SqliteStore) -> None:
    (name, *_) = add_blind_song(store)
    result = CliRunner(env={"COLUMNS": "220"}).invoke(app_queue, ["show", name, "--workspace", str(store._path.parent)])
    assert "version: shown when every candidate of the song has a verdict" in result.output
