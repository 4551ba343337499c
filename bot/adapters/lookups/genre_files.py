"""Files on genres: the labels of a model, and a map with a place for each genre."""

from __future__ import annotations

import csv
import json
import math
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bot.domain.errors import InputError
from bot.domain.nearest_genre import Place
from foundation.archive_members import check_members

_MEMBER = "genres.json"
_COLUMNS = {"genre", "x", "y"}
_COLOUR = "hex_colour"
_MAX_BYTES = 64 * 2**20


def read_labels(path: Path) -> tuple[str, ...]:
    """The genres that a model knows: the `genres.json` of a corpus, or of an archive (.mar).

    Raises:
        InputError: the file is missing, unreadable or of another form.
    """
    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                check_members(archive.infolist())
                with archive.open(_MEMBER) as member:
                    document: Any = json.loads(member.read(_MAX_BYTES))
        else:
            document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, KeyError, RecursionError, zipfile.BadZipFile) as cause:
        raise InputError(
            f"the genre labels {path} cannot be read: {cause}; give a genres.json or an archive"
        ) from cause
    if not isinstance(document, list) or not document or not all(isinstance(label, str) for label in document):
        raise InputError(f"the genre labels {path} must be a JSON list of strings, such as a corpus's genres.json")
    return tuple(label for label in document if label.strip())


def read_map(path: Path) -> dict[str, Place]:
    """Read places of genres: a CSV of `genre`, `x`, `y` and optionally `hex_colour`, as everynoise.com has them.

    Each coordinate is scaled to a span of 1, including red, green and blue. On that map the colour carries dimensions
    that two coordinates cannot, and measured against artists who share genres it counts as much.

    Raises:
        InputError: the file is missing, unreadable or of another form.
    """
    try:
        with path.open(encoding="utf-8", newline="") as file:
            places = dict(_rows(csv.DictReader(file, strict=True), path))
    except (OSError, UnicodeDecodeError, csv.Error) as cause:
        raise InputError(f"the genre map {path} cannot be read: {cause}") from cause
    if not places:
        raise InputError(f"the genre map {path} is empty; it needs the columns genre, x and y")
    spans = [max(axis) - min(axis) or 1.0 for axis in zip(*places.values(), strict=True)]
    return {
        genre: tuple(value / span for value, span in zip(place, spans, strict=True)) for genre, place in places.items()
    }


def _rows(rows: csv.DictReader[str], path: Path) -> Iterator[tuple[str, Place]]:
    missing = _COLUMNS - set(rows.fieldnames or ())
    if missing:
        raise InputError(f"the genre map {path} lacks the column {', '.join(sorted(missing))}")
    coloured = _COLOUR in (rows.fieldnames or ())
    for row in _strictly(rows, path):
        try:
            place = (float(row["x"]), float(row["y"]), *(_rgb(row[_COLOUR]) if coloured else ()))
            genre = row["genre"].strip()
        except (TypeError, ValueError, AttributeError) as cause:
            raise InputError(f"the genre map {path}, line {rows.line_num}: {cause}") from cause
        if not all(map(math.isfinite, place)):
            raise InputError(f"the genre map {path}, line {rows.line_num}: a place must be finite, got {place}")
        if genre:
            yield genre, place


def _strictly(rows: csv.DictReader[str], path: Path) -> Iterator[dict[str, str]]:
    """Yield the rows; a quote that is not closed would swallow those behind it, so it is an error with its line."""
    start = rows.line_num + 1
    try:
        for row in rows:
            yield row
            start = rows.line_num + 1
    except csv.Error as cause:
        raise InputError(f"the genre map {path}, line {start}: {cause}; check its quotes") from cause


def _rgb(colour: str) -> Place:
    digits = colour.strip().removeprefix("#")
    if len(digits) != 6:
        raise ValueError(f"{_COLOUR} must look like #1ca3c2, got {colour!r}")
    return tuple(float(int(digits[start : start + 2], 16)) for start in (0, 2, 4))
