"""Killed at any moment, a backup or a restore leaves a whole database, and the next one finishes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[4]


@pytest.mark.slow
def test_a_killed_backup_or_restore_leaves_either_file_whole_and_the_next_one_finishes(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.bot.helpers.killed_files", str(tmp_path)]
    printed = subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT, timeout=240).stdout
    moments: list[dict[str, Any]] = [json.loads(line) for line in printed.splitlines()]
    # The database has 400 candidates, the backup 200: before, after a backup, after a restore.
    whole = {"backup": ([400, 200], [400, 400]), "restore": ([400, 200], [200, 200])}
    for what, (before, after) in whole.items():
        runs = [moment for moment in moments if moment["what"] == what]
        killed = [run for run in runs if run["killed"]]
        assert len(killed) > 30
        assert len(runs) - len(killed) == 2  # one after the last step, one after the last page
        assert [run for run in killed if run["before"] not in (before, after)] == []
        assert [run for run in runs if run["after"] != after or run["left"]] == []
