"""Encoding of a text file: UTF-8, what a byte order mark says, or what the user says; others are named and refused."""

from __future__ import annotations

import codecs
from pathlib import Path
from typing import Final

from charset_normalizer import from_bytes

from training.errors import PostsError

_MARKS: Final = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
"""Byte order marks; that of UTF-16 begins like the longer one of UTF-32."""


def known_encoding(name: str) -> str:
    """Return the encoding of a name that a user gave.

    Raises:
        PostsError: Python knows no text encoding of that name.
    """
    try:
        "".encode(name)
        return codecs.lookup(name).name
    except (LookupError, ValueError) as cause:
        raise PostsError(f"{name!r} is not an encoding; use a name such as utf-8, cp1252, latin-1 or utf-16") from cause


def encoding_of(path: Path, sample: bytes) -> str:
    """Return the encoding of a file by its first bytes.

    A file of whose accented lines at least half are UTF-8 is UTF-8, with damaged rows.

    Args:
        path: the file, for messages.
        sample: its first bytes.

    Raises:
        PostsError: the file is not UTF-8 and has no byte order mark; the message names the probable encoding.
    """
    for mark, name in _MARKS:
        if sample.startswith(mark):
            return name
    try:
        # A character may be cut at the end of the sample.
        codecs.getincrementaldecoder("utf-8")().decode(sample)
    except UnicodeDecodeError as cause:
        accented = [line for line in sample.splitlines() if not line.isascii()]
        if sum(map(_is_utf8, accented)) * 2 >= len(accented):
            return "utf-8"
        line = sample.count(b"\n", 0, cause.start) + 1
        found = from_bytes(sample).best()
        name = "NAME" if found is None else _usual(sample, found.encoding)
        guess = "an unknown encoding" if found is None else name
        raise PostsError(
            f"{path} is not UTF-8 (byte 0x{sample[cause.start]:02x} in line {line}); it looks like {guess}: if that is "
            f"right, give --encoding {name}"
        ) from cause
    return "utf-8"


def _usual(sample: bytes, encoding: str) -> str:
    """Return cp1252, the usual one, if it reads a sample as the encoding that was found does."""
    try:
        return "cp1252" if sample.decode("cp1252") == sample.decode(encoding) else encoding
    except UnicodeDecodeError:
        return encoding


def _is_utf8(line: bytes) -> bool:
    try:
        line.decode()
    except UnicodeDecodeError:
        return False
    return True
