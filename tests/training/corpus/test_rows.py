from __future__ import annotations

import csv
import gzip
import json
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.corpus.rows import read_rows
from training.errors import PostsError

ROWS = [{"id": "1", "text": 'One, "two"\nthree.'}, {"id": "2", "text": "Ünder “quotes” 🎧"}]


def _jsonl(path: Path) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in ROWS), encoding="utf-8")


def _jsonl_gz(path: Path) -> None:
    path.write_bytes(gzip.compress("".join(json.dumps(row) + "\n\n" for row in ROWS).encode()))


def _json(path: Path) -> None:
    path.write_text(json.dumps(ROWS, indent=1), encoding="utf-8")


def _json_gz(path: Path) -> None:
    path.write_bytes(gzip.compress(json.dumps(ROWS, ensure_ascii=False).encode()))


def _csv(path: Path) -> None:
    with path.open("w", encoding="utf-8-sig", newline="") as file:
        writer = csv.DictWriter(file, ["id", "text"])
        writer.writeheader()
        writer.writerows(ROWS)


def _parquet(path: Path) -> None:
    pq.write_table(pa.Table.from_pylist(ROWS), path)


@pytest.mark.parametrize(
    ("name", "write"),
    [
        ("a.jsonl", _jsonl),
        ("a.ndjson", _jsonl),
        ("a.JSONL.gz", _jsonl_gz),
        ("a.json", _json),
        ("a.json.gz", _json_gz),
        ("lines.json", _jsonl),
        ("a.csv", _csv),
        ("a.parquet", _parquet),
    ],
)
def test_every_format_gives_the_same_rows(tmp_path: Path, name: str, write: Callable[[Path], None]) -> None:
    write(tmp_path / name)
    progress: list[int] = []
    assert list(read_rows(tmp_path / name, advance=progress.append)) == ROWS
    assert sum(progress) == (tmp_path / name).stat().st_size


@pytest.mark.slow
@given(
    rows=st.lists(
        st.dictionaries(st.text(max_size=5), st.text(max_size=20) | st.integers() | st.lists(st.text(max_size=5)))
    ),
    indent=st.sampled_from([None, 0, 2]),
)
def test_any_array_of_records_is_read_back(
    tmp_path_factory: pytest.TempPathFactory, rows: list[Any], indent: int | None
) -> None:
    path = tmp_path_factory.mktemp("rows") / "a.json"
    path.write_text(json.dumps(rows, indent=indent), encoding="utf-8")
    assert list(read_rows(path)) == rows


@pytest.mark.slow
def test_an_array_much_larger_than_a_chunk_streams(tmp_path: Path) -> None:
    path = tmp_path / "big.json"
    rows = [{"id": number, "text": "word " * 400} for number in range(8000)]
    path.write_text(json.dumps(rows), encoding="utf-8")
    del rows
    tracemalloc.start()
    count = sum(1 for _ in read_rows(path))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert count == 8000
    assert peak < path.stat().st_size / 4


def test_lines_that_are_not_objects_are_none_and_the_rest_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"a": 1}\nnot json\n[1]\n{"a": 2}\n', encoding="utf-8")
    assert list(read_rows(path)) == [{"a": 1}, None, None, {"a": 2}]


def test_csv_rows_with_lost_or_extra_fields_are_none(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("id,text\n1,one\n2\n3,three,more\n", encoding="utf-8")
    assert list(read_rows(path)) == [{"id": "1", "text": "one"}, None, None]


def test_long_csv_fields_are_read(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("text\n" + "x" * 200_000 + "\n", encoding="utf-8")
    assert [len(row["text"]) for row in read_rows(path) if row] == [200_000]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.jsonl", b"", "is empty"),
        ("a.txt", b"text", "must end in one of .jsonl"),
        ("a.parquet.gz", b"text", "must end in one of"),
        ("a.jsonl.gz", b"no gzip", "damaged or truncated"),
        ("a.jsonl.gz", gzip.compress(b'{"a": 1}\n' * 1000, mtime=0)[:-20], "damaged or truncated"),
        ("a.json", b'[{"a": 1}, {"a": ', "not valid JSON"),
        ("a.json", b'[{"a": 1}', "not valid JSON"),
        ("a.json", b"a,b\n1,2\n", "not valid JSON"),
        ("a.parquet", b"no parquet at all", "cannot be read as parquet"),
        ("a.jsonl", b'{"a": "\xff\xfe"}\n', "is not UTF-8"),
    ],
)
def test_a_file_that_is_not_what_its_name_says_is_named_with_the_reason(
    tmp_path: Path, name: str, content: bytes, message: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(PostsError, match=message) as caught:
        list(read_rows(tmp_path / name))
    assert name in str(caught.value)


def test_a_missing_file_and_a_folder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(PostsError, match="No such file"):
        list(read_rows(tmp_path / "none.jsonl"))
    (tmp_path / "folder.jsonl").mkdir()
    with pytest.raises(PostsError, match=r"folder\.jsonl cannot be read: Is a directory"):
        list(read_rows(tmp_path / "folder.jsonl"))


@pytest.mark.parametrize("name", ["data", "records", "posts"])
def test_records_within_an_object_are_read(tmp_path: Path, name: str) -> None:
    path = tmp_path / "wrapped.json"
    path.write_text(json.dumps({"count": 2, name: [{"a": 1}, {"a": 2}], "next": "x"}), encoding="utf-8")
    assert list(read_rows(path)) == [{"a": 1}, {"a": 2}]
    path.write_text(json.dumps([{"text": "x", name: [{"a": 1}]}]), encoding="utf-8")
    assert list(read_rows(path)) == [{"text": "x", name: [{"a": 1}]}]
    path.write_text(json.dumps({"text": "x", name: ["a"]}), encoding="utf-8")
    assert list(read_rows(path)) == [{"text": "x", name: ["a"]}]
