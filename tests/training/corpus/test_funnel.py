from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from training.corpus.cli import app_corpus
from training.corpus.funnel import Funnel


def _funnel(
    *, labels: int = 3, most: int = 60, valid: int = 5, unreadable: int = 0, settings: dict[str, Any] | None = None
) -> Funnel:
    return Funnel.from_counts(
        {"rows read": 100, "unreadable": unreadable, "sentences kept": 90},
        inputs=(),
        settings={"min_posts_per_genre": 50} if settings is None else settings,
        splits={"train": 80, "valid": valid, "test": 5},
        genres={"labels": labels, "posts without genre": 3, "posts of the most frequent": most},
    )


def test_a_usable_corpus_has_no_warnings() -> None:
    assert _funnel().warnings() == []


@pytest.mark.parametrize(
    ("funnel", "warning"),
    [
        (_funnel(labels=0, most=7), "no genre has the 50 posts .* has 7: build with --min-posts-per-genre 7 or less"),
        (_funnel(labels=0, most=0), "no post has a genre, .* --catalog"),
        (_funnel(valid=0), "the valid split is empty, .* more songs"),
        (_funnel(unreadable=20), r"20 of 100 rows cannot be read \(20%\): .* --encoding"),
    ],
)
def test_what_spoils_a_model_is_a_warning_with_a_way_out(funnel: Funnel, warning: str) -> None:
    (found,) = funnel.warnings()
    assert re.search(warning, found)


def test_a_funnel_of_an_earlier_version_can_be_read() -> None:
    document = json.loads(_funnel().to_json())
    del document["genres"]["posts of the most frequent"]
    assert Funnel.from_json(json.dumps(document)).warnings() == []


def test_build_prints_the_warnings(tmp_path: Path) -> None:
    posts = tmp_path / "posts.csv"
    sentence = "The drums of number {} sit low and the room around them gets bigger."
    rows = [f'Ona Vell;Song {number};pop;"{sentence.format(number)}"' for number in range(3)]
    posts.write_text("Artist;Title;Genres;Text\n" + "\n".join(rows) + "\n", encoding="utf-8")
    result = CliRunner().invoke(app_corpus, ["build", str(posts), "--out", str(tmp_path / "corpus"), "--jobs", "1"])
    assert result.exit_code == 0, result.output
    assert "warning: no genre has the 50 posts" in result.output
    assert "--min-posts-per-genre 3" in result.output
