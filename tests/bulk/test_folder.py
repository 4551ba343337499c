from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bulk.errors import FolderError, PartError
from bulk.folder import MANIFEST, RunFolder, part_name
from bulk.songs import Song
from bulk.writing import Part, answer_part
from handlers.commentary import Commentator

PLAN: dict[str, Any] = {"model": {"name": "lcgan", "version": "1"}, "settings": {"best_of": 2, "bad_words": ()}}


@pytest.fixture(scope="module")
def part(commentator: Commentator) -> Part:
    songs = [Song(row=1, values={"genres": []}), Song(row=2, values={})]
    return answer_part(songs, commentator=commentator, options={"num_samples": 3, "best_of": 1, "max_tokens": 6})


def test_a_part_that_was_written_is_found_with_its_sums(tmp_path: Path, part: Part) -> None:
    with RunFolder.opened(tmp_path / "out", PLAN) as folder:
        assert folder.find(0) is None
        written = folder.write(0, part)
    with RunFolder.opened(tmp_path / "out", PLAN) as folder:
        assert folder.find(0) == written
        assert (written.songs, written.errors, written.samples) == (2, 1, 3)
        assert folder.kind == part.kind
        folder.finish([written])
    manifest = json.loads((tmp_path / "out" / MANIFEST).read_text())
    assert manifest["complete"]
    assert manifest["parts"][0]["sha256"] == written.sha256
    assert manifest["settings"] == {"best_of": 2, "bad_words": []}


def test_a_damaged_part_is_removed(tmp_path: Path, part: Part) -> None:
    with RunFolder.opened(tmp_path, PLAN) as folder:
        for number, damage in enumerate(
            [part.content[:-9], part.content[: len(part.content) // 2], b"", _flipped(part.content)]
        ):
            folder.write(number, part)
            (tmp_path / part_name(number)).write_bytes(damage)
            assert folder.find(number) is None, damage
            assert not (tmp_path / part_name(number)).exists()


def _flipped(content: bytes) -> bytes:
    """A file with another bit in the first page of data."""
    at = 40
    return content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"model": {"name": "lcgan", "version": "2"}}, r'holds a run with model\.version "1", and this one has "2"'),
        ({"settings": {"best_of": 4, "bad_words": ()}}, r"settings\.best_of 2, and this one has 4"),
        ({"settings": {"best_of": 2, "bad_words": (), "x": 1}}, r"settings\.x null, and this one has 1"),
    ],
)
def test_another_run_in_the_same_folder_is_refused_with_what_differs(
    tmp_path: Path, part: Part, changed: dict[str, Any], words: str
) -> None:
    with RunFolder.opened(tmp_path, PLAN) as folder:
        folder.write(0, part)
    before = (tmp_path / part_name(0)).read_bytes()
    with pytest.raises(FolderError, match=words), RunFolder.opened(tmp_path, PLAN | changed):
        pass
    assert (tmp_path / part_name(0)).read_bytes() == before


def test_what_a_killed_run_had_not_finished_is_removed(tmp_path: Path, part: Part) -> None:
    with RunFolder.opened(tmp_path, PLAN) as folder:
        folder.write(0, part)
    left = tmp_path / f".{part_name(1)}.partial"
    left.write_bytes(b"PAR1")
    with RunFolder.opened(tmp_path, PLAN):
        assert not left.exists()


def test_a_run_that_was_killed_before_its_first_part_is_begun_again(tmp_path: Path) -> None:
    (tmp_path / f".{MANIFEST}.partial").write_bytes(b"{")
    with RunFolder.opened(tmp_path, PLAN) as folder:
        assert folder.kind is None


def test_a_folder_of_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("x")
    with pytest.raises(FolderError, match=r"is not empty and has no manifest\.json"), RunFolder.opened(tmp_path, PLAN):
        pass
    (tmp_path / MANIFEST).write_text("[]")
    with pytest.raises(FolderError, match=r"manifest\.json cannot be read"), RunFolder.opened(tmp_path, PLAN):
        pass
    with pytest.raises(FolderError, match="cannot be used"), RunFolder.opened(tmp_path / "thesis.txt", PLAN):
        pass


def test_a_second_run_in_the_same_folder_is_refused_while_the_first_writes(tmp_path: Path) -> None:
    with (
        RunFolder.opened(tmp_path, PLAN),
        pytest.raises(FolderError, match=r"another run writes to .*; wait for it"),
        RunFolder.opened(tmp_path, PLAN),
    ):
        pass


def test_a_part_from_another_kind_of_machine_is_refused(tmp_path: Path, part: Part) -> None:
    other = replace(part, kind=replace(part.kind, processor="AVX2"))
    with RunFolder.opened(tmp_path, PLAN) as folder:
        folder.write(0, part)
        with pytest.raises(PartError, match=r"part 1 was computed with \w+ on AVX2 \(\w+\), and the parts before it"):
            folder.write(1, other)
    assert not (tmp_path / part_name(1)).exists()
