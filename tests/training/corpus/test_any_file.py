"""Files of posts that hold anything: they are read, or refused with an error that names the file."""

from __future__ import annotations

import gzip
import io
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.examples import examples
from training.corpus.posts import read_posts
from training.errors import PostsError

SUFFIXES = ("jsonl", "json", "csv", "jsonl.gz", "json.gz", "csv.gz", "parquet")


def _parquet() -> bytes:
    file = io.BytesIO()
    pq.write_table(pa.Table.from_pylist([{"id": "1", "text": "A hazy song.", "genres": ["pop"]}] * 3), file)
    return file.getvalue()


_ROW = json.dumps({"id": "1", "text": "A hazy song.", "genres": ["pop"], "artist": "Ünna"}, ensure_ascii=False)
WHOLE = {
    "jsonl": f"{_ROW}\n{_ROW}\n".encode(),
    "json": f"[{_ROW}, {_ROW}]".encode(),
    "csv": b'id,text,genres\n1,"A ""hazy"" song.",pop\n2,Another,"[\'rock\']"\n',
    "jsonl.gz": gzip.compress(f"{_ROW}\n".encode(), mtime=0),
    "json.gz": gzip.compress(f"[{_ROW}]".encode(), mtime=0),
    "csv.gz": gzip.compress(b"id,text\n1,x\n", mtime=0),
    "parquet": _parquet(),
}
"""A good file of each format."""


@st.composite
def files(draw: st.DrawFn) -> tuple[str, bytes]:
    """A suffix, and noise or a good file of it that was cut and changed in some places."""
    suffix = draw(st.sampled_from(SUFFIXES))
    if draw(st.integers(0, 3)) == 0:
        return suffix, draw(st.binary(max_size=120))
    content = bytearray(WHOLE[suffix])
    for _ in range(draw(st.integers(0, 4))):
        content[draw(st.integers(0, len(content) - 1))] = draw(st.integers(0, 255))
    if draw(st.booleans()):
        del content[draw(st.integers(0, len(content))) :]
    return suffix, bytes(content)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_the_good_files_are_read(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"posts.{suffix}"
    path.write_bytes(WHOLE[suffix])
    assert len([post for post in read_posts(path) if post is not None]) >= 1


@examples(150)
@given(files())
def test_any_file_is_read_or_refused_by_its_name(
    tmp_path_factory: pytest.TempPathFactory, file: tuple[str, bytes]
) -> None:
    suffix, content = file
    path = tmp_path_factory.getbasetemp() / f"any.{suffix}"
    path.write_bytes(content)
    try:
        posts = [post for post in read_posts(path) if post is not None]
    except PostsError as fault:
        assert path.name in str(fault)  # noqa: PT017 - either outcome is right, others are not
    else:
        assert all(isinstance(post.text, str) for post in posts)
