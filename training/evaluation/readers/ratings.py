"""Ratings of sentences by blind readers, and their files.

A file of ratings is JSON lines of source, text, reader, grammar, sense, flavour and accept. Or it is a table that a
reader wrote next to a sheet: number, grammar, sense, flavour, accept, separated by tabs, with the sheet's key, which is
a JSON list of [source, text] in the order of the numbers.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Final

from foundation.text_lines import split_lines
from training.errors import RatingsError

SCALES: Final = ("grammar", "sense", "flavour")
"""Names of the scales from 1 to 5."""
_LOWEST, _HIGHEST = 1, 5
_COLUMNS: Final = ("number", *SCALES, "accept")
_MAX_NAMED: Final = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Rating:
    """Rating of one sentence by one reader.

    Raises:
        ValueError: a value is not on its scale.
    """

    source: str
    text: str
    reader: str
    grammar: int
    """Correct English with real words, 1 to 5."""
    sense: int
    """Coherent and plausible about music, 1 to 5."""
    flavour: int
    """Vivid and interesting, 1 to 5."""
    accept: int
    """Whether the reader would post the sentence as it is, 0 or 1."""

    def __post_init__(self) -> None:
        for name in SCALES:
            value = getattr(self, name)
            if type(value) is not int or not _LOWEST <= value <= _HIGHEST:
                raise ValueError(f"{name} is a whole number from {_LOWEST} to {_HIGHEST}, got {value!r}")
        if self.accept not in (0, 1):
            raise ValueError(f"accept is 0 or 1, got {self.accept!r}")
        for name in ("source", "text", "reader"):
            if not isinstance(getattr(self, name), str) or not getattr(self, name):
                raise ValueError(f"{name} must be a text, got {getattr(self, name)!r}")


_FIELDS: Final = tuple(each.name for each in fields(Rating))


def read_ratings(paths: Sequence[Path]) -> list[Rating]:
    """Read files of ratings: each is JSON lines (.jsonl), a key (.json), or a reader's table for the key before it.

    Raises:
        RatingsError: a file cannot be read or used, a reader skipped or doubled a number, or there are no ratings.
    """
    found: list[Rating] = []
    key: list[tuple[str, str]] | None = None
    for path in paths:
        if path.suffix == ".jsonl":
            found += _read_lines(path)
        elif path.suffix == ".json":
            key = read_key(path)
        elif key is None:
            raise RatingsError(f"{path} is a table of ratings; give the key of its sheet (.json) before it")
        else:
            found += read_table(path, key)
    if not found:
        raise RatingsError("no ratings are given; give JSON lines (.jsonl), or a key (.json) and the readers' tables")
    doubled = Counter((each.reader, each.source, each.text) for each in found)
    (reader, source, text), count = doubled.most_common(1)[0]
    if count > 1:
        raise RatingsError(f"reader {reader} rated a sentence of {source} {count} times: {text}")
    return found


def read_key(path: Path) -> list[tuple[str, str]]:
    """Read a sheet's key: source and text of each number.

    Raises:
        RatingsError: the file cannot be read, or is not a list of [source, text].
    """
    document = _loads(path, _read(path))
    if not isinstance(document, list) or not document or not all(map(_is_pair, document)):
        raise RatingsError(f"{path} is not a key: a JSON list of [source, text], one for each number of the sheet")
    return [(source, text) for source, text in document]


def read_table(path: Path, key: Sequence[tuple[str, str]]) -> list[Rating]:
    """Read the table of the reader that the file is named for.

    Raises:
        RatingsError: a line is not a rating, or a number is missing, rated twice or not on the sheet.
    """
    numbers: list[int] = []
    found: list[Rating] = []
    for place, line in enumerate(split_lines(_read(path)), start=1):
        cells = [cell.strip() for cell in line.split("\t")]
        # A reader may repeat the names of the columns.
        if not line.strip() or (place == 1 and not cells[0].isdigit()):
            continue
        if len(cells) != len(_COLUMNS) or not all(cell.isdigit() for cell in cells):
            raise RatingsError(f"{path}:{place} is not {', '.join(_COLUMNS)}, separated by tabs: {line[:80]!r}")
        number, *values = map(int, cells)
        numbers.append(number)
        if number < len(key):
            source, text = key[number]
            rating = dict(zip(_COLUMNS[1:], values, strict=True))
            found.append(_rating(f"{path}:{place}", source=source, text=text, reader=path.stem, **rating))
    _check_numbers(path, numbers, len(key))
    return found


def _check_numbers(path: Path, numbers: Sequence[int], size: int) -> None:
    """Check that each number of a sheet is rated exactly once."""
    counts = Counter(numbers)
    faults = {
        "not rated": [number for number in range(size) if number not in counts],
        "rated more than once": sorted(number for number, count in counts.items() if count > 1),
        "not on the sheet": sorted(number for number in counts if number >= size),
    }
    wrong = [f"{_named(found)} {fault}" for fault, found in faults.items() if found]
    if wrong:
        raise RatingsError(f"{path} does not rate each of the {size} sentences once: {'; '.join(wrong)}")


def _named(numbers: Sequence[int]) -> str:
    shown = ", ".join(map(str, numbers[:_MAX_NAMED]))
    return shown if len(numbers) <= _MAX_NAMED else f"{shown} and {len(numbers) - _MAX_NAMED} more"


def _read_lines(path: Path) -> list[Rating]:
    found = []
    for place, line in enumerate(split_lines(_read(path)), start=1):
        if not line.strip():
            continue
        row = _loads(path, line, place)
        if not isinstance(row, dict) or not set(_FIELDS) <= row.keys():
            raise RatingsError(f"{path}:{place} is not an object with {', '.join(_FIELDS)}")
        found.append(_rating(f"{path}:{place}", **{name: row[name] for name in _FIELDS}))
    return found


def _rating(where: str, **values: Any) -> Rating:
    try:
        return Rating(**values)
    except ValueError as cause:
        raise RatingsError(f"{where}: {cause}") from cause


def _is_pair(entry: object) -> bool:
    return isinstance(entry, list) and len(entry) == 2 and all(isinstance(each, str) and each for each in entry)


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as cause:
        raise RatingsError(f"{path} cannot be read: {cause}") from cause


def _loads(path: Path, text: str, place: int | None = None) -> Any:
    try:
        return json.loads(text)
    except ValueError as cause:
        where = str(path) if place is None else f"{path}:{place}"
        raise RatingsError(f"{where} is not JSON: {cause}") from cause
