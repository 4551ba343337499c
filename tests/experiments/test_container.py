"""The watch as deploy/compose.yaml starts it: its own command and environment, with folders in place of its mounts."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from bot.adapters.sqlite.store import SqliteStore
from tests.experiments.lab import EXPERIMENT, Lab, exposure

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.slow
def test_the_watchs_container_finds_database_exposures_and_registry(lab: Lab, tmp_path: Path) -> None:
    compose = yaml.safe_load((ROOT / "deploy" / "compose.yaml").read_text(encoding="utf-8"))
    watch: dict[str, Any] = compose["services"]["watch"]
    places = {"/var/lib/deephypebot": str(tmp_path / "state"), "/gateway": str(lab.folder)}
    assert [volume.rpartition(":")[2] for volume in watch["volumes"]] == list(places)

    def placed(text: str) -> str:
        """Take the default of a variable, and put the test's folders into the place of the mounts."""
        text = re.sub(r"^\$\{\w+:-(.*)\}$", r"\1", text)
        for inside, outside in places.items():
            text = text.replace(inside, outside)
        return text

    workspace = Path(placed(watch["command"][-1]))
    SqliteStore(workspace / "bot.db", now=lab.now).close()
    lab.registry.start(EXPERIMENT)
    lab.expose(exposure("a", "1"), exposure("b", "2"))
    assert placed(watch["environment"]["DEEPHYPEBOT_EXPOSURES"]) == str(lab.exposures_folder)
    done = subprocess.run(
        [sys.executable, "-m", "deephypebot", *map(placed, watch["command"]), "--once"],
        env={
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "MLFLOW_DISABLE_TELEMETRY": "true",
            **{name: placed(value) for name, value in watch["environment"].items()},
        },
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    report = json.loads((workspace / "experiments" / "winter" / "report.json").read_text(encoding="utf-8"))
    assert [arm["calls"] for arm in report["arms"]] == [1, 1]
