from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from foundation.private_files import keep_writers_out, make_private, private_opener


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_new_folder_is_its_owners(tmp_path: Path) -> None:
    make_private(tmp_path / "a" / "b")
    assert mode(tmp_path / "a" / "b") == 0o700


@pytest.mark.parametrize(
    ("before", "after"), [(0o755, 0o750), (0o777, 0o770), (0o2775, 0o2770), (0o700, 0o700), (0o1777, 0o1777)]
)
def test_a_folder_that_is_there_keeps_its_groups_rights_and_one_that_many_share_all(
    tmp_path: Path, before: int, after: int
) -> None:
    folder = tmp_path / "x"
    folder.mkdir()
    folder.chmod(before)
    make_private(folder)
    assert mode(folder) == after


def test_a_file_in_the_place_of_a_folder_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "x").touch()
    with pytest.raises(FileExistsError):
        make_private(tmp_path / "x")


def test_a_folder_whose_files_count_as_checked_can_be_written_by_its_owner_alone(tmp_path: Path) -> None:
    (tmp_path / "a.mar").touch()
    (tmp_path / "a.mar").chmod(0o666)
    tmp_path.chmod(0o2770)
    keep_writers_out(tmp_path)
    assert (mode(tmp_path) & 0o777, mode(tmp_path / "a.mar")) == (0o750, 0o644)


def test_a_folder_that_another_user_can_change_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tmp_path.chmod(0o770)
    monkeypatch.setattr(Path, "chmod", lambda *_: None)  # as on a read-only disk
    with pytest.raises(PermissionError, match=r"can be written by other users \(mode 770\): chmod go-w"):
        keep_writers_out(tmp_path)
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    if os.getuid():
        with pytest.raises(PermissionError, match=r"belongs to another user \(uid \d+\), who can change it"):
            keep_writers_out(tmp_path)


def test_a_private_file_is_its_owners_whatever_the_umask_is(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        with open(tmp_path / "x", "w", encoding="utf-8", opener=private_opener):
            pass
    finally:
        os.umask(before)
    assert mode(tmp_path / "x") == 0o600


@pytest.mark.parametrize(("umask", "after"), [(0o022, 0o640), (0o002, 0o660), (0o077, 0o600)])
def test_a_process_that_keeps_others_out_leaves_its_groups_rights(tmp_path: Path, umask: int, after: int) -> None:
    program = (
        f"import os, pathlib; os.umask({umask})\n"
        "from foundation.private_files import keep_others_out\n"
        "keep_others_out(); pathlib.Path('x').touch()"
    )
    subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, check=True, env={**os.environ, "PYTHONPATH": str(ROOT)}
    )
    assert mode(tmp_path / "x") == after


ROOT = Path(__file__).parents[2]
