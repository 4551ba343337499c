from __future__ import annotations

import json
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
    posts = _posts(tmp_path, "The drums of song {} are loud. So good.")
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


def test_build_lets_the_package_errors_pass_to_the_command(tmp_path: Path) -> None:
    result = CliRunner().invoke(
        app_corpus, ["build", str(_posts(tmp_path, "so good {}")), "--out", str(tmp_path / "c")]
    )
    assert isinstance(result.exception, NoUsableSentenceError)


@pytest.mark.parametrize("options", [["--max-words", "3"], ["--min-posts-per-genre", "0"]])
def test_build_refuses_options_that_cannot_work(tmp_path: Path, options: list[str]) -> None:
    posts = _posts(tmp_path, "The drums are loud.")
    result = CliRunner().invoke(app_corpus, ["build", str(posts), "--out", str(tmp_path / "c"), *options])
    assert result.exit_code == 2
    assert options[0] in result.output
    assert not (tmp_path / "c").exists()
