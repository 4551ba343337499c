"""Files of verdicts: what is read, and what is refused with the line and the way out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from handlers.contract import SamplingParams
from training.errors import VerdictsError
from training.verdicts.rows import read_verdicts


def _document(number: int, **changed: Any) -> dict[str, Any]:
    row = {
        "model": "lcgan", "version": "3", "archive_sha256": "ab" * 32, "seed": number, "genres": ["pop"], "topic": None,
        "temperature": 0.5, "top_p": 0.9, "max_tokens": 40, "bad_words": ["drop"], "best_of": 16, "artist": "Ona Vell",
        "title": "Slow Tide", "text": f"Sentence {number} hums.", "accepted": number % 2 == 0, "edited_text": None,
        "curator": "ada", "decided_at": "2026-11-30T06:00:00Z", "experiment": "", "flags": ["copied"],
    }  # fmt: skip
    return row | changed


def _write(path: Path, documents: list[Any]) -> Path:
    path.write_text("".join(f"{each if isinstance(each, str) else json.dumps(each)}\n" for each in documents))
    return path


def test_rows_keep_the_text_the_request_and_the_verdict(tmp_path: Path) -> None:
    path = _write(tmp_path / "v.jsonl", [_document(n, edited_text="Better." if n == 4 else None) for n in range(20)])
    found = read_verdicts(path)
    assert (len(found.rows), found.accepted, found.edited) == (20, 10, 1)
    assert found.rows[4].edited_text == "Better."
    assert found.rows[4].sampling == SamplingParams(temperature=0.5, top_p=0.9, max_tokens=40, bad_words=("drop",))
    assert found.rows[4].written_by == "lcgan/3"
    assert str(found) == "20 verdicts (20 of lcgan/3): 10 accepted, 1 of all edited"


def test_fields_that_may_be_missing_have_their_defaults_and_blank_lines_do_not_count(tmp_path: Path) -> None:
    needed = ("model", "version", "seed", "genres", "text", "accepted")
    rows: list[Any] = [{name: _document(n)[name] for name in needed} for n in range(20)]
    found = read_verdicts(_write(tmp_path / "v.jsonl", [*rows[:7], "", *rows[7:]]))
    assert found.rows[0].sampling == SamplingParams()
    assert (found.rows[0].topic, found.rows[0].artist, found.rows[0].archive_sha256) == (None, None, "")


def test_line_separators_within_a_text_do_not_end_its_line(tmp_path: Path) -> None:
    text = "So\u2028warm\u2029and\u0085late."
    rows: list[Any] = [json.dumps(_document(n, text=text), ensure_ascii=False) for n in range(20)]
    assert {row.text for row in read_verdicts(_write(tmp_path / "v.jsonl", rows)).rows} == {text}


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "line 21: is not valid JSON"),
        ("[1]", "line 21: must be a JSON object, got list"),
        ("{}", "line 21: lacks model, version, text, seed, genres, accepted"),
        (_document(1, text=" "), "text must be a text that is not empty, got ' '"),
        (_document(1, version=3), "version must be a text that is not empty, got 3"),
        (_document(1, seed=-1), "seed must be a whole number from 0 to"),
        (_document(1, seed=True), "seed must be a whole number"),
        (_document(1, genres="pop"), "genres must be a list of texts, got 'pop'"),
        (_document(1, accepted=None), "accepted must be true or false, got None; samples without a verdict"),
        (_document(1, temperature=9), "temperature"),
        (_document(1, edited_text=4), "edited_text must be a text or null, got 4"),
    ],
)
def test_a_line_that_is_not_a_verdict_is_refused_with_its_number(tmp_path: Path, line: Any, message: str) -> None:
    path = _write(tmp_path / "v.jsonl", [*(_document(n) for n in range(20)), line])
    with pytest.raises(VerdictsError, match=message) as raised:
        read_verdicts(path)
    assert "line 21" in str(raised.value)


def test_too_few_verdicts_and_verdicts_of_one_kind_are_refused_with_their_number(tmp_path: Path) -> None:
    few = _write(tmp_path / "few.jsonl", [_document(n) for n in range(19)])
    with pytest.raises(VerdictsError, match="holds 19 verdicts, and training on fewer than 20"):
        read_verdicts(few)
    for first in (True, False):
        alike = _write(tmp_path / "alike.jsonl", [_document(n, accepted=first is (n < 4)) for n in range(25)])
        numbers = "4 samples of .* are accepted and 21 rejected" if first else "21 samples of .* are accepted and 4 rej"
        with pytest.raises(VerdictsError, match=f"{numbers}.*from 5 of each kind"):
            read_verdicts(alike)
    with pytest.raises(VerdictsError, match="holds 0 verdicts"):
        read_verdicts(_write(tmp_path / "none.jsonl", []))


def test_a_file_that_cannot_be_read_is_refused_with_the_command_that_writes_it(tmp_path: Path) -> None:
    with pytest.raises(VerdictsError, match="deephypebot experiment verdicts --out"):
        read_verdicts(tmp_path / "missing.jsonl")
    binary = tmp_path / "binary.jsonl"
    binary.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(VerdictsError, match="cannot be read"):
        read_verdicts(binary)
