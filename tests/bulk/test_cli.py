from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

from bulk import cli
from bulk.errors import BulkError, ModelError

pytestmark = pytest.mark.slow  # each run starts a process that imports torch


@pytest.fixture
def songs(tmp_path: Path) -> Path:
    path = tmp_path / "songs.csv"
    path.write_text("id,genres,mood\na,dream pop;techno,warm\nb,pop\nc,,cold\n", encoding="utf-8")
    return path


def run(*arguments: str | Path) -> Result:
    app = typer.Typer()
    app.command()(cli.generate_many)
    return CliRunner(env={"COLUMNS": "200"}).invoke(app, [str(each) for each in arguments])


def test_the_command_tells_its_sums_and_what_it_did_not_read(songs: Path, bundle_folder: Path, tmp_path: Path) -> None:
    place = ("--out", tmp_path / "out", "--model", bundle_folder)
    options = (*place, "-n", "2", "--best-of", "1", "--bad-words", "wa, wb")
    first = run(songs, *options, "--workers", "1")
    assert first.exit_code == 0, first.output
    assert re.search(
        r"out: 4 samples for 3 songs in 1 parts; 1 songs have none, and the reason in the column error; [\d.,]+ songs"
        r"/s, [\d.,]+ core hours per million songs\n",
        first.stdout,
    )
    assert "mood not read; read are id, genres, artist, title and seed" in first.stderr
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["settings"]["bad_words"] == ["wa", "wb"]
    again = run(songs, *options, "--workers", "2", "--json")
    document = json.loads(again.stdout)
    assert (document["songs"], document["songs_before"], document["errors"], document["version"]) == (3, 3, 1, "1")


def test_a_wrong_option_ends_the_command_before_it_works(songs: Path, bundle_folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert isinstance(run(songs, "--out", out, "--model", bundle_folder, "--best-of", "99").exception, BulkError)
    found = run(songs, "--out", out, "--model", bundle_folder, "--topic", "none such", "--workers", "1").exception
    assert isinstance(found, ModelError)
    assert "no topic 'none such'" in str(found)
    assert "add --engine ray" in run(songs, "--out", out, "--model", bundle_folder, "--address", "h:1").output
