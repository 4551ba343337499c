from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
WANTED = "".join((ROOT / name).read_text() for name in ("mlflow/stores.txt", "tests/stores/requirements.txt"))


@pytest.mark.parametrize(
    ("installed", "is_made"),
    [(WANTED, False), ("boto3==1.0.0\n", True), (None, True)],
    ids=["these", "others", "none"],
)
def test_the_environment_of_the_stores_is_made_again_when_their_releases_change(
    tmp_path: Path, installed: str | None, is_made: bool
) -> None:
    python, folder, calls = tmp_path / "python", tmp_path / "stores", tmp_path / "calls"
    python.write_text(f'#!/bin/sh\necho "$@" >>{calls}\nexit 3\n')
    python.chmod(0o755)
    if installed is not None:
        folder.mkdir()
        (folder / "installed").write_text(installed)
    script = ROOT / "scripts" / "stores_environment.sh"
    done = subprocess.run(["sh", str(script), str(folder), str(python)], check=False)
    assert done.returncode == (3 if is_made else 0)
    assert (calls.read_text() if calls.exists() else "") == (f"-m venv --clear {folder}\n" if is_made else "")
