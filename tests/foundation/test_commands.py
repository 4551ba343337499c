from __future__ import annotations

import os
import shlex
import subprocess
import sysconfig
from pathlib import Path

import pytest

from foundation.commands import command

SCRIPTS = Path(sysconfig.get_path("scripts"))


def test_a_program_on_the_path_is_called_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", f"{SCRIPTS}{os.pathsep}/usr/bin")
    assert command("models", "list") == "deephypebot models list"
    assert command("ui", program="mlflow") == "mlflow ui"


def test_a_program_that_the_shell_would_not_find_is_called_by_its_path(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", "/usr/bin")
    monkeypatch.chdir(SCRIPTS.parents[1])
    assert command("queue", "list") == f"{SCRIPTS.relative_to(SCRIPTS.parents[1])}/deephypebot queue list"
    monkeypatch.chdir(SCRIPTS)
    assert command("queue", "list") == "./deephypebot queue list"
    monkeypatch.chdir(tmp_path)
    assert command("queue", "list") == f"{shlex.quote(str(SCRIPTS))}/deephypebot queue list"


def test_another_installations_program_on_the_path_is_not_meant(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    other = tmp_path / "deephypebot"
    other.write_text("#!/bin/sh\n", encoding="utf-8")
    other.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert command("serve") != "deephypebot serve"
    assert command("serve").endswith("/deephypebot serve")


def test_a_link_to_this_installations_program_is_found_by_its_name(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "deephypebot").symlink_to(SCRIPTS / "deephypebot")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert command("serve") == "deephypebot serve"


@pytest.mark.parametrize("word", ["dream pop", "it's", "a\nb", "$HOME", "", "R&B", "models:/lcgan@champion"])
def test_a_shell_reads_each_word_as_it_was_given(word: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    program = tmp_path / "deephypebot"
    program.symlink_to(SCRIPTS / "deephypebot")
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}/usr/bin{os.pathsep}/bin")
    shown = command("--genres", word).replace("deephypebot", "printf '%s\\0'", 1)
    told = subprocess.run(["sh", "-c", shown], capture_output=True, text=True, check=True)
    assert told.stdout == f"--genres\0{word}\0"
