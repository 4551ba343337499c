"""A bot that is killed while its sheet tells the versions of a song."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.bot.helpers.blind_songs import VERSIONS

ROOT = Path(__file__).resolve().parents[3]
STRIDE = int(os.environ.get("DEEPHYPEBOT_KILL_STRIDE", "7"))


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_killed_at_any_moment_the_sheet_tells_the_versions_at_last_and_each_verdict_is_there_once(
    tmp_path: Path,
) -> None:
    command = [sys.executable, "-m", "tests.bot.helpers.killed_blind", str(tmp_path), str(STRIDE)]
    printed = subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT, timeout=1100).stdout
    reference, *runs = [json.loads(line) for line in printed.splitlines()]
    assert reference["after"] == {
        "verdicts": [["e1.1.1", "accept", "board"], ["e1.1.2", "reject", "bo"]],
        "sheet": [
            ["e1.1.1", "accepted", "", f"lcgan {VERSIONS['A']}", "-1.09437"],
            ["e1.1.2", "rejected", "bo", f"lcgan {VERSIONS['B']}", "-1.07419"],
        ],
    }
    assert [bool(run["killed"]) for run in runs] == [True] * (len(runs) - 1) + [False]
    assert runs[-1]["step"] > 50
    assert [(run["step"], run["killed"]) for run in runs if run["after"] != reference["after"]] == []
