from __future__ import annotations

import fcntl
import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from serving.torchserve.errors import TorchServeError
from serving.torchserve.runtime_folder import CONFIG_FILE, make_runtime_folder


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder whose path is short enough, and no other one that would do."""
    with tempfile.TemporaryDirectory(prefix="run-", dir="/tmp") as made:
        folder = Path(made)
        monkeypatch.setattr(tempfile, "tempdir", str(folder / "temp"))
        monkeypatch.setenv("XDG_CACHE_HOME", str(folder / "file" / "cache"))  # which cannot be made
        (folder / "file").touch()
        yield folder


def left_over(parent: Path, name: str, *, age_s: float, config: bool = True) -> Path:
    folder = parent / f"deephypebot-{name}"
    folder.mkdir(parents=True)
    if config:
        (folder / CONFIG_FILE).touch()
    os.utime(folder, (time.time() - age_s, time.time() - age_s))
    return folder


def test_the_folder_is_private_and_beside_the_logs(short: Path) -> None:
    folder = make_runtime_folder(short / "logs" / "run")
    assert folder.parent == short / "logs" / "run"
    assert folder.stat().st_mode & 0o777 == 0o700


def test_a_path_that_is_too_long_for_sockets_is_not_used(short: Path) -> None:
    (short / "temp").mkdir()
    folder = make_runtime_folder(short / ("x" * 80))
    assert folder.parent == short / "temp"


def test_before_a_temporary_folder_which_systems_clean_the_users_folder_for_caches_is_taken(
    short: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (short / "temp").mkdir()
    monkeypatch.setenv("XDG_CACHE_HOME", str(short / "cache"))
    folder = make_runtime_folder(short / ("x" * 80))
    assert folder.parent == short / "cache" / "deephypebot"
    assert folder.parent.stat().st_mode & 0o777 == 0o700
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    monkeypatch.setenv("HOME", str(short / "home"))
    assert make_runtime_folder(short / ("x" * 80)).parent == short / "home" / ".cache" / "deephypebot"


def test_a_place_that_cannot_be_made_is_not_used(short: Path) -> None:
    (short / "temp").mkdir()
    assert make_runtime_folder(short / "file" / "run").parent == short / "temp"


def test_what_killed_services_left_is_removed_and_all_else_stays(short: Path) -> None:
    run = short / "run"
    old = left_over(run, "old", age_s=120)
    kept = {
        left_over(run, "new", age_s=1),
        left_over(run, "locked", age_s=120),
        left_over(run, "somebody-elses", age_s=120, config=False),
    }
    descriptor = os.open(run / "deephypebot-locked", os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        made = make_runtime_folder(run)
    finally:
        os.close(descriptor)
    assert not old.exists()
    assert set(run.iterdir()) == {*kept, made}


def test_no_place_at_all_is_an_error_that_says_what_to_do(short: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(TorchServeError, match="--workspace, or set TMPDIR"):
        make_runtime_folder(short / "run")
