"""Killed at any moment, a sync leaves nothing that the next one does not bring to the verdicts of the bot's store."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.slow
def test_a_killed_sync_leaves_no_double_and_loses_no_verdict(template: Path, tmp_path: Path) -> None:
    place, folder = tmp_path / "template", tmp_path / "killed"
    shutil.copytree(template, place)
    folder.mkdir()
    command = [sys.executable, "-m", "tests.experiments.tracking.killed_sync", str(place), str(folder)]
    environment = {**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true"}
    printed = subprocess.run(
        command, check=True, capture_output=True, text=True, cwd=ROOT, timeout=280, env=environment
    ).stdout
    moments: list[dict[str, Any]] = [json.loads(line) for line in printed.splitlines() if line.startswith("{")]
    assert len(moments) > 30
    assert [moment["killed"] for moment in moments] == [True] * (len(moments) - 1) + [False]
    expected = moments[-1]["after"]
    assert expected["feedback"] == moments[-1]["store"]
    assert len(expected["feedback"]) == 2
    assert expected["history"] == {"verdicts lcgan/1": [1, 1], "verdicts lcgan/2": [1, 1]}
    assert [moment for moment in moments if moment["after"] != expected] == []
