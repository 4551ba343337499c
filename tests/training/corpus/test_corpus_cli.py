from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from training.corpus import PLOT_FILE, load_corpus
from training.corpus.cli import app_corpus
from training.errors import NoUsableSentenceError


def _posts(folder: Path, text: str) -> Path:
    path = folder / "posts.jsonl"
    rows = [{"artist": f"Orva {number}", "title": "Tide", "text": text.format(number)} for number in range(30)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


@pytest.mark.slow
def test_build_writes_a_corpus_and_shows_the_funnel(tmp_path: Path) -> None:
    posts = _posts(tmp_path, "Song {0} is louder than all {0} songs of last year. So good.")
    catalog = tmp_path / "catalog.jsonl"
    catalog.write_text("".join(json.dumps({"artist": f"Orva {n}", "genres": ["pop"]}) + "\n" for n in range(30)))
    arguments = ["build", str(posts), "--out", str(tmp_path / "corpus"), "--catalog", str(catalog)]
    result = CliRunner().invoke(app_corpus, [*arguments, "--min-posts-per-genre", "5"])
    assert result.exit_code == 0, result.output
    assert "too short" in result.output
    assert "sentences kept" in result.output
    corpus = load_corpus(tmp_path / "corpus")
    assert len(corpus) == 30
    assert corpus.genre_table.labels == ("pop",)
    assert (tmp_path / "corpus" / PLOT_FILE).read_bytes().startswith(b"\x89PNG")
    # Without a terminal: a line for each step, and tables without lines.
    lines = [line.split() for line in result.output.splitlines()]
    assert [" ".join(line[2:4]) for line in lines[:3]] == ["clean posts", "judge sentences", "write corpus"]
    assert lines[0][4:] == ["100%", f"{posts.stat().st_size / 1e6:.1f}", "MB", "read"]
    assert not set("─│━┃\x1b\r") & set(result.output)


def test_build_lets_the_package_errors_pass_to_the_command(tmp_path: Path) -> None:
    result = CliRunner().invoke(
        app_corpus, ["build", str(_posts(tmp_path, "so good {}")), "--out", str(tmp_path / "c")]
    )
    assert isinstance(result.exception, NoUsableSentenceError)


def _kept(folder: Path, posts: Path, *options: str) -> list[str]:
    result = CliRunner().invoke(app_corpus, ["build", str(posts), "--out", str(folder), "--jobs", "1", *options])
    assert result.exit_code == 0, result.output
    return load_corpus(folder).texts


@pytest.mark.slow
def test_build_keeps_as_many_sentences_of_an_opening_as_it_is_told(tmp_path: Path) -> None:
    posts = _posts(tmp_path, "Loud are the drums of {0}, and all {0} horns answer {0} drums.")
    numbered = [f"Loud are the drums of {n}, and all {n} horns answer {n} drums." for n in range(30)]
    assert _kept(tmp_path / "usual", posts) == numbered[:20]
    assert _kept(tmp_path / "few", posts, "--max-openings", "3") == numbered[:3]
    assert _kept(tmp_path / "all", posts, "--max-openings", "30") == numbered


@pytest.mark.slow
def test_build_keeps_as_many_names_in_a_sentence_as_it_is_told(tmp_path: Path) -> None:
    posts = tmp_path / "posts.jsonl"
    none, one, two = "It is slow and sad and long.", "He met Ada on a slow boat.", "He met Ada and later Bram here."
    posts.write_text(json.dumps({"artist": "Orva", "title": "Tide", "text": f"{none} {one} {two}"}) + "\n")
    assert _kept(tmp_path / "usual", posts) == [none, one]
    assert _kept(tmp_path / "none", posts, "--max-other-names", "0") == [none]
    assert _kept(tmp_path / "two", posts, "--max-other-names", "2") == [none, one, two]


@pytest.mark.parametrize(
    "options",
    [
        ["--max-words", "3"],
        ["--min-posts-per-genre", "0"],
        ["--max-openings", "0"],
        ["--max-other-names", "-1"],
        ["--address", "10.0.0.1:6379"],
    ],
)
def test_build_refuses_options_that_cannot_work(tmp_path: Path, options: list[str]) -> None:
    posts = _posts(tmp_path, "The drums are loud.")
    result = CliRunner().invoke(app_corpus, ["build", str(posts), "--out", str(tmp_path / "c"), *options])
    assert result.exit_code == 2
    assert options[0] in result.output
    assert not (tmp_path / "c").exists()


@pytest.mark.slow
def test_ctrl_c_says_that_the_same_command_continues(tmp_path: Path) -> None:
    posts = tmp_path / "posts.jsonl"
    row = json.dumps({"artist": "Orva", "title": "Tide", "text": "Song {} is louder than all songs of last year."})
    with posts.open("w", encoding="utf-8") as lines:
        lines.writelines(row.replace("{}", str(number)) + "\n" for number in range(60_000))
    command = [sys.executable, "-m", "deephypebot", "corpus", "build", str(posts), "--out", str(tmp_path / "corpus")]
    with subprocess.Popen(
        [*command, "--jobs", "1"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as build:
        assert build.stdout is not None
        assert "clean posts" in build.stdout.readline()
        build.send_signal(signal.SIGINT)
        output, errors = build.communicate(timeout=60)
    assert build.returncode == 130
    assert output.splitlines()[-1] == "stopped; the same command continues where it stopped"
    assert "Traceback" not in errors
