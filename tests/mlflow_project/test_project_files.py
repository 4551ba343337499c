"""The project's files agree with each other."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2]
PROJECT = ROOT / "mlflow"


def _names(requirements: list[str]) -> set[str]:
    return {re.split(r"[<>=!\[ ;]", line, maxsplit=1)[0].lower() for line in requirements}


def test_the_folder_holds_no_python() -> None:
    assert list(PROJECT.rglob("*.py")) == []


def test_what_mlflow_installs_is_what_train_and_serve_need() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    needed = _names([*project["dependencies"], *extras["train"], *extras["serve"]])
    lines = (PROJECT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    assert _names([line for line in lines if line and line[0].isalpha()]) == needed


def test_the_entry_points_are_commands_of_ours() -> None:
    entry_points = yaml.safe_load((PROJECT / "MLproject").read_text(encoding="utf-8"))["entry_points"]
    assert set(entry_points) == {"corpus", "train", "archive"}
    for entry in entry_points.values():
        assert entry["command"].startswith("PYTHONPATH=.. python -m deephypebot ")


def test_the_constraints_are_the_repositorys() -> None:
    assert (PROJECT / "constraints.txt").resolve() == ROOT / "constraints.txt"
