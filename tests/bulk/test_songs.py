from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bulk.errors import SongsError
from bulk.songs import Song, read_songs, unused_columns

ROWS: list[dict[str, Any]] = [
    {"id": "a", "genres": ["dream pop", "shoegaze"], "artist": "Ona", "title": "Tide", "seed": 7},
    {"id": "b", "genres": [], "artist": None, "title": "Ré; sol", "seed": None},
]


def values(path: Path) -> list[dict[str, Any]]:
    songs = list(read_songs(path))
    assert [song.row for song in songs] == list(range(1, len(songs) + 1))
    return [dict(song.values) for song in songs]


def write(path: Path, content: str | bytes) -> Path:
    data = content.encode() if isinstance(content, str) else content
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


def test_parquet_is_read_across_row_groups(tmp_path: Path) -> None:
    path = tmp_path / "songs.parquet"
    pq.write_table(pa.Table.from_pylist(ROWS), path, row_group_size=1)
    assert values(path) == ROWS


@pytest.mark.parametrize("name", ["songs.jsonl", "songs.jsonl.gz", "SONGS.JSONL"])
def test_json_lines_are_read_plain_and_gzipped(tmp_path: Path, name: str) -> None:
    lines = "\n\n".join(json.dumps(row) for row in ROWS)
    assert values(write(tmp_path / name, lines)) == ROWS


@pytest.mark.parametrize("name", ["songs.csv", "songs.csv.gz"])
def test_csv_is_read_with_its_texts(tmp_path: Path, name: str) -> None:
    text = '\ufeffid,genres,artist,title,seed\r\na,dream pop;shoegaze,Ona,Tide,7\r\n\r\nb,,,"Ré; sol",\r\n'
    assert values(write(tmp_path / name, text)) == [
        {"id": "a", "genres": "dream pop;shoegaze", "artist": "Ona", "title": "Tide", "seed": "7"},
        {"id": "b", "genres": "", "artist": None, "title": "Ré; sol", "seed": None},
    ]


def test_rows_that_cannot_be_read_keep_their_place(tmp_path: Path) -> None:
    lines = b'{"genres": []}\nnot json\n[1]\n\xff\n{"genres": ["pop"]}\n'
    songs = list(read_songs(write(tmp_path / "songs.jsonl", lines)))
    assert [bool(song.error) for song in songs] == [False, True, True, True, False]
    assert songs[2].error == "the line must be a JSON object, got list"
    assert songs[4].row == 5

    rows = b"genres,title\npop,a\npop\n\xff,b\npop,c,d\npop,e\n"
    songs = list(read_songs(write(tmp_path / "songs.csv", rows)))
    assert [song.error for song in songs] == [
        "",
        "the row has 1 cells, and the header 2",
        "the row is not UTF-8",
        "the row has 3 cells, and the header 2",
        "",
    ]


def test_a_row_of_parquet_with_a_value_that_python_cannot_hold_keeps_its_place(tmp_path: Path) -> None:
    path = tmp_path / "songs.parquet"
    texts = pa.array([b"pop", b"\xff", b"rock", b"jazz"])
    table = {
        "genres": pa.Array.from_buffers(pa.string(), len(texts), texts.buffers()),
        "id": pa.array([1, 2, 2**62, 4], pa.timestamp("us")),
    }
    pq.write_table(pa.table(table), path)
    songs = list(read_songs(path))
    assert [song.row for song in songs] == [1, 2, 3, 4]
    assert [song.values.get("genres") for song in songs] == ["pop", None, None, "jazz"]
    assert [song.error.partition(":")[0] for song in songs] == ["", *["the row cannot be read"] * 2, ""]


def test_a_quote_that_is_never_closed_is_an_error_of_its_row(tmp_path: Path) -> None:
    songs = list(read_songs(write(tmp_path / "songs.csv", 'genres\npop\n"' + "x" * 2**20 + "\n")))
    assert songs[0].error == ""
    assert "field larger than field limit" in songs[1].error


def test_columns_that_are_not_read_are_told(tmp_path: Path) -> None:
    assert unused_columns(write(tmp_path / "songs.csv", "genres,temperature,id\n")) == ("temperature",)
    assert unused_columns(write(tmp_path / "songs.jsonl", '\n{"genres": [], "mood": 1}\n')) == ("mood",)
    assert unused_columns(write(tmp_path / "none.jsonl", "")) == ()


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("songs.txt", b"", r"songs\.txt must end in \.parquet, \.csv"),
        ("songs.parquet.gz", b"", r"must end in \.parquet"),
        ("songs.csv", b"", r"lacks the column genres; it has none"),
        ("songs.csv", b"id,genre\n", r"lacks the column genres; it has id, genre\. A song's genres are a list"),
        ("songs.csv", b"id,genres,id\n", r"has the column 'id' twice"),
        ("songs.parquet", b"PAR1 and no more", r"songs\.parquet cannot be read"),
        ("songs.jsonl.gz", None, r"songs\.jsonl\.gz cannot be read"),
    ],
)
def test_a_file_that_cannot_be_used_is_named_with_the_reason(
    tmp_path: Path, name: str, content: bytes | None, message: str
) -> None:
    path = tmp_path / name
    # Compressed bytes that end before their end.
    path.write_bytes(gzip.compress(b'{"genres": []}\n' * 9999)[:60] if content is None else content)
    with pytest.raises(SongsError, match=message):
        list(read_songs(path))


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    for name in ("songs.parquet", "songs.csv", "songs.jsonl"):
        with pytest.raises(SongsError, match="cannot be read: "):
            list(read_songs(tmp_path / name))
        with pytest.raises(SongsError, match="cannot be read: "):
            unused_columns(tmp_path / name)


@given(st.binary(max_size=300), st.sampled_from(["songs.jsonl", "songs.csv", "songs.csv.gz", "songs.parquet"]))
def test_any_bytes_are_songs_or_an_error_of_ours(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, name: str
) -> None:
    path = tmp_path_factory.mktemp("any") / name
    path.write_bytes(b"genres,id\n" + content if "csv" in name and len(content) % 2 else content)
    try:
        for song in read_songs(path):
            assert isinstance(song, Song)
    except SongsError:
        pass
