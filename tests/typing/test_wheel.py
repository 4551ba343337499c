"""The wheel as it is published: every package says that it is typed, and holds the files it needs at run time."""

from __future__ import annotations

import tomllib
import zipfile
from pathlib import Path

import pytest
from hatchling.builders.wheel import WheelBuilder

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("foundation", "training", "handlers", "serving", "bot", "bulk", "experiments", "loadtest", "benchmarks")


@pytest.fixture(scope="module")
def names(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """Paths of the files in a wheel that is built here."""
    folder = tmp_path_factory.mktemp("wheel")
    (wheel,) = WheelBuilder(str(ROOT)).build(directory=str(folder), versions=["standard"])
    with zipfile.ZipFile(wheel) as opened:
        return set(opened.namelist())


@pytest.mark.parametrize("package", PACKAGES)
def test_a_package_is_marked_as_typed(package: str, names: set[str]) -> None:
    assert f"{package}/py.typed" in names


def test_the_wheel_holds_the_packages_and_the_command_and_no_tests(names: set[str]) -> None:
    tops = {name.partition("/")[0] for name in names if ".dist-info" not in name}
    assert tops == {*PACKAGES, "deephypebot.py", "deephypebot_demo.py"}


def test_every_file_of_a_package_that_is_not_python_is_in_the_wheel(names: set[str]) -> None:
    missing = [
        path.relative_to(ROOT).as_posix()
        for package in PACKAGES
        for path in (ROOT / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts and path.relative_to(ROOT).as_posix() not in names
    ]
    assert missing == []


def test_the_metadata_is_that_of_the_project(names: set[str]) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert f"deephypebot-{project['version']}.dist-info/METADATA" in names
    assert "Typing :: Typed" in project["classifiers"]
