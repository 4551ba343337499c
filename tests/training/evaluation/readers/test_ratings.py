from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from training.errors import RatingsError
from training.evaluation.readers.ratings import Rating, read_key, read_ratings, read_table
from training.evaluation.readers.sheet import KEY_FILE, READERS_FILE, SHEET_FILE, mix, read_sentences, write_sheet

KEY = [("real", "It is warm."), ("model", "Bass bass."), ("model", "So loud.")]


@pytest.fixture
def key(tmp_path: Path) -> Path:
    path = tmp_path / "key.json"
    path.write_text(json.dumps(KEY), encoding="utf-8")
    return path


def table(folder: Path, text: str, name: str = "anna") -> Path:
    path = folder / f"{name}.tsv"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_table_and_its_key_are_what_json_lines_are(tmp_path: Path, key: Path) -> None:
    rows = table(tmp_path, "number\tgrammar\tsense\tflavour\taccept\n2\t4\t3\t2\t1\n0\t5\t5\t4\t1\n\n1\t1\t1\t1\t0\n")
    found = read_ratings([key, rows])
    assert found[0] == Rating(source="model", text="So loud.", reader="anna", grammar=4, sense=3, flavour=2, accept=1)
    assert [each.source for each in found] == ["model", "real", "model"]
    fields = ("source", "text", "reader", "grammar", "sense", "flavour", "accept")
    lines = tmp_path / "all.jsonl"
    found[0] = replace(found[0], text="So\u2028loud.")
    rows_given = [{name: getattr(each, name) for name in fields} | {"more": 1} for each in found]
    document = "\n".join(json.dumps(each, ensure_ascii=False) for each in rows_given)
    lines.write_text(document + "\n\n", encoding="utf-8")
    assert read_ratings([lines]) == found


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("0\t5\t5\t4\t1\n1\t1\t1\t1\t0\n", "2 not rated"),
        ("0\t5\t5\t4\t1\n1\t1\t1\t1\t0\n1\t1\t1\t1\t0\n", "2 not rated; 1 rated more than once"),
        ("0\t5\t5\t4\t1\n1\t1\t1\t1\t0\n2\t1\t1\t1\t0\n7\t1\t1\t1\t0\n", "7 not on the sheet"),
        ("0\t5\t5\t4\n", ":1 is not number, grammar, sense, flavour, accept"),
        ("0\t5\tfive\t4\t1\n", ":1 is not number"),
        ("0\t6\t5\t4\t1\n", "grammar is a whole number from 1 to 5, got 6"),
        ("0\t5\t5\t4\t2\n", "accept is 0 or 1, got 2"),
        ("", "0, 1, 2 not rated"),
    ],
)
def test_a_table_that_does_not_rate_each_sentence_once_names_the_numbers(tmp_path: Path, text: str, fault: str) -> None:
    with pytest.raises(RatingsError, match=fault):
        read_table(table(tmp_path, text), KEY)


def test_many_missing_numbers_are_counted(tmp_path: Path) -> None:
    with pytest.raises(RatingsError, match="0, 1, 2, 3, 4, 5, 6, 7 and 12 more not rated"):
        read_table(table(tmp_path, ""), [("real", f"Text {number}.") for number in range(20)])


@pytest.mark.parametrize("document", ["[]", "{}", '[["real"]]', '[["real", 1]]', "[[", '[["", "text"]]'])
def test_a_key_that_is_none_says_so(tmp_path: Path, document: str) -> None:
    path = tmp_path / "key.json"
    path.write_text(document, encoding="utf-8")
    with pytest.raises(RatingsError, match=r"key\.json is not"):
        read_key(path)


def test_files_that_cannot_be_used_say_what_is_missing(tmp_path: Path, key: Path) -> None:
    with pytest.raises(RatingsError, match="give the key of its sheet"):
        read_ratings([table(tmp_path, "0\t5\t5\t4\t1\n")])
    with pytest.raises(RatingsError, match="no ratings are given"):
        read_ratings([key])
    with pytest.raises(RatingsError, match=r"absent\.tsv cannot be read"):
        read_ratings([key, tmp_path / "absent.tsv"])
    lines = tmp_path / "all.jsonl"
    for line, fault in (
        ("{", "is not JSON"),
        ('{"source": "real"}', "is not an object with source, text"),
        (
            '{"source": "a", "text": "b", "reader": "c", "grammar": 1.5, "sense": 1, "flavour": 1, "accept": 1}',
            "got 1.5",
        ),
    ):
        lines.write_text(f"\n{line}", encoding="utf-8")
        with pytest.raises(RatingsError, match=f"all.jsonl:2.*{fault}"):
            read_ratings([lines])


def test_a_sentence_that_a_reader_rated_twice_is_refused(tmp_path: Path, key: Path) -> None:
    rows = table(tmp_path, "0\t5\t5\t4\t1\n1\t1\t1\t1\t0\n2\t1\t1\t1\t0\n")
    with pytest.raises(RatingsError, match="reader anna rated a sentence of real 2 times: It is warm"):
        read_ratings([key, rows, rows])


def test_a_sheet_shows_no_source_and_its_key_lies_apart(tmp_path: Path) -> None:
    sources = {"real": [f"Real {n}." for n in range(30)], "model": ["So  warm.", "So warm.", "Loud."]}
    sheet = mix(sources, each=10, seed=1)
    write_sheet(sheet, tmp_path)
    assert sheet.counts() == {"model": 2, "real": 10}
    assert mix(sources, each=10, seed=1) == sheet
    assert mix(sources, each=10, seed=2) != sheet
    lines = (tmp_path / SHEET_FILE).read_text(encoding="utf-8").splitlines()
    assert lines == [f"{number}\t{text}" for number, (_, text) in enumerate(sheet.rows)]
    assert not any("real" in line.split("\t")[1].split()[0] for line in lines)
    assert tuple(read_key(tmp_path / "key" / KEY_FILE)) == sheet.rows
    assert sorted(path.name for path in tmp_path.iterdir()) == ["key", READERS_FILE, SHEET_FILE]
    # A source more leaves the sentences of the others as they are.
    more = mix({**sources, "other": ["Else."]}, each=10, seed=1)
    assert {row for row in more.rows if row[0] != "other"} == set(sheet.rows)
    # Sources take turns in the order, which tells nothing.
    places = [number for number, (source, _) in enumerate(sheet.rows) if source == "model"]
    assert places != [0, 1]


def test_a_sheet_of_nothing_is_refused() -> None:
    with pytest.raises(RatingsError, match="at least one source"):
        mix({}, each=10, seed=1)
    with pytest.raises(RatingsError, match="the source model has no sentences"):
        mix({"model": [" "]}, each=10, seed=1)
    with pytest.raises(RatingsError, match="at least 1 sentence, got 0"):
        mix({"model": ["Loud."]}, each=0, seed=1)


def test_sentences_are_read_from_lines_and_from_json_lines(tmp_path: Path) -> None:
    path = tmp_path / "samples.txt"
    path.write_text('["techno"]\nSo\u2028warm.\n\n{"text": "Loud.\u0085", "seed": 1}\n', encoding="utf-8")
    assert read_sentences(path) == ["So\u2028warm.", "Loud.\u0085"]
    for line in ('{"txt": "Loud."}', "{", '{"text": 1}'):
        path.write_text(line, encoding="utf-8")
        with pytest.raises(RatingsError, match=r"samples\.txt:1 is not"):
            read_sentences(path)
    with pytest.raises(RatingsError, match="cannot be read"):
        read_sentences(tmp_path / "absent.txt")
