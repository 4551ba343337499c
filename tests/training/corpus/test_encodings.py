from __future__ import annotations

import codecs
from pathlib import Path

import pytest

from training.corpus.encodings import encoding_of, known_encoding
from training.errors import PostsError

TEXT = "Der Bass öffnet sich wie ein Fenster, und die Bläser übernehmen.\n" * 20


@pytest.mark.parametrize(
    ("sample", "encoding"),
    [
        (TEXT.encode(), "utf-8"),
        (TEXT.encode()[:-59], "utf-8"),
        (codecs.BOM_UTF8 + TEXT.encode(), "utf-8-sig"),
        (TEXT.encode("utf-16"), "utf-16"),
        (codecs.BOM_UTF16_BE + TEXT.encode("utf-16-be"), "utf-16"),
        (TEXT.encode("utf-32"), "utf-32"),
        (b"", "utf-8"),
        (TEXT.encode() + b"one damaged \xff line\n", "utf-8"),
    ],
)
def test_utf8_and_byte_order_marks_are_known(sample: bytes, encoding: str) -> None:
    assert encoding_of(Path("a.csv"), sample) == encoding


def test_another_encoding_is_named_with_the_way_to_read_it() -> None:
    with pytest.raises(
        PostsError, match=r"^a\.csv is not UTF-8 \(byte 0xf6 in line 1\); it looks like .*--encoding \w"
    ):
        encoding_of(Path("a.csv"), TEXT.encode("cp1252"))


def test_of_encodings_that_read_a_file_alike_the_usual_one_is_named() -> None:
    text = "artist,text\nOna Vell,The drums sit low in the café and the room is warm.\n"
    with pytest.raises(PostsError, match=r"--encoding cp1252$"):
        encoding_of(Path("a.csv"), text.encode("latin-1"))


def test_an_encoding_may_be_given_by_any_of_its_names() -> None:
    assert known_encoding("Latin-1") == known_encoding("iso8859-1")
    for name in ("latin-99", "base64", ""):
        with pytest.raises(PostsError, match=f"'{name}' is not an encoding"):
            known_encoding(name)
