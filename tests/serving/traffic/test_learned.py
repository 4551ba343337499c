"""References that were learned: they outlive a restart, and a damaged file costs no more than learning again."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from serving.traffic.learned import LearnedReferences
from tests.handlers.references import EXAMPLE

SHA256 = "ab" * 32


def test_what_was_learned_of_an_archive_is_found_again_and_of_no_other(tmp_path: Path) -> None:
    LearnedReferences(tmp_path / "references").write(SHA256, EXAMPLE)
    again = LearnedReferences(tmp_path / "references")
    assert again.read(SHA256) == EXAMPLE
    assert again.read("cd" * 32) is None
    assert [path.name for path in (tmp_path / "references").iterdir()] == [f"{SHA256}.json"]


def test_without_a_folder_nothing_is_kept() -> None:
    learned = LearnedReferences()
    learned.write(SHA256, EXAMPLE)
    assert learned.read(SHA256) is None


@pytest.mark.parametrize("content", [b"", b"{", b"\xff", b'{"format": 2}', EXAMPLE.to_json().encode()[:-40]])
def test_a_damaged_file_is_told_and_learned_again(
    tmp_path: Path, content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / f"{SHA256}.json").write_bytes(content)
    learned = LearnedReferences(tmp_path)
    with caplog.at_level(logging.WARNING):
        assert learned.read(SHA256) is None
    assert f"{SHA256}.json cannot be used and is learned again" in caplog.text
    learned.write(SHA256, EXAMPLE)
    assert learned.read(SHA256) == EXAMPLE


def test_a_folder_that_cannot_be_written_is_told_and_serving_goes_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("x")
    learned = LearnedReferences(tmp_path / "file")
    with caplog.at_level(logging.WARNING):
        learned.write(SHA256, EXAMPLE)
        assert learned.read(SHA256) is None
    assert "a restart learns it again" in caplog.text
