import logging
import os
from pathlib import Path

import pytest

from serving.errors import SecurityError
from serving.security.watched import WatchedFiles


def read(path: Path) -> str:
    try:
        text = path.read_text()
    except OSError as cause:
        raise SecurityError("it is gone") from cause
    if "bad" in text:
        raise SecurityError("it is bad")
    return text


def watched(path: Path) -> WatchedFiles[str]:
    return WatchedFiles("note", [path], lambda: read(path))


def test_a_changed_file_is_read_again_and_an_unchanged_one_is_not(tmp_path: Path) -> None:
    path = tmp_path / "note"
    path.write_text("one")
    reads: list[str] = []

    def noted() -> str:
        reads.append(read(path))
        return reads[-1]

    it = WatchedFiles("note", [path], noted)
    it.refresh()
    assert reads == ["one"]
    path.write_text("two!")
    it.refresh()
    assert (it.value, reads) == ("two!", ["one", "two!"])


def test_a_link_that_points_elsewhere_is_a_change(tmp_path: Path) -> None:
    """As Kubernetes renews secrets."""
    for name in "ab":
        (tmp_path / name).write_text(name)
        os.utime(tmp_path / name, (0, 0))
    link = tmp_path / "note"
    link.symlink_to("a")
    it = watched(link)
    (tmp_path / "new").symlink_to("b")
    (tmp_path / "new").replace(link)
    it.refresh()
    assert it.value == "b"


def test_a_bad_change_keeps_the_old_value_and_is_told_and_counted_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "note"
    path.write_text("good")
    it = watched(path)
    path.write_text("bad one")
    with caplog.at_level(logging.INFO):
        for _ in range(3):
            it.refresh()
        assert (it.value, it.errors) == ("good", 1)
        assert [record.message for record in caplog.records] == [
            "the note changed and cannot be used, so the old one stays: it is bad"
        ]
        path.unlink()
        it.refresh()
        assert (it.value, it.errors) == ("good", 2)
        path.write_text("better")
        it.refresh()
    assert (it.value, it.errors) == ("better", 2)
    assert caplog.records[-1].message == "the note changed and is in use"


def test_a_bad_file_at_the_start_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "note").write_text("bad")
    with pytest.raises(SecurityError, match="it is bad"):
        watched(tmp_path / "note")
