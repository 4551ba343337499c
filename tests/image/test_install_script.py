"""scripts/install.sh, up to the point where pip would fetch something: the image and `make` run the rest."""

import os
import subprocess
import tomllib
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "install.sh"


def install(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["sh", str(SCRIPT), *arguments],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_every_extra_that_installs_commands_is_named() -> None:
    project = tomllib.loads((SCRIPT.parents[1] / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    (line,) = [line for line in SCRIPT.read_text(encoding="utf-8").splitlines() if line.startswith("# EXTRAS ")]
    # `client` is for programs that import `serving.client` alone.
    named = {name.strip() for name in line.rpartition(":")[2].split(",")}
    assert named == set(project["optional-dependencies"]) - {"client"}


@pytest.mark.parametrize("arguments", [(), (".venv",), (".venv", "train", "serve"), ("-e", ".venv")])
def test_a_wrong_number_of_arguments_shows_how_it_is_used(arguments: tuple[str, ...]) -> None:
    done = install(*arguments)
    assert done.returncode == 2
    assert "usage:" in done.stderr


@pytest.mark.parametrize("extras", ["", "train serve", "train;reboot", "[train]"])
def test_extras_that_are_no_names_are_refused(extras: str, tmp_path: Path) -> None:
    done = install(str(tmp_path / "venv"), extras)
    assert done.returncode == 2
    assert f"'{extras}'" in done.stderr
    assert not (tmp_path / "venv").exists()


def test_a_missing_interpreter_is_named(tmp_path: Path) -> None:
    done = install(str(tmp_path / "venv"), "bot", PYTHON="no-such-python")
    assert done.returncode == 1
    assert "no 'no-such-python' here" in done.stderr
    assert not (tmp_path / "venv").exists()


def fake_python(folder: Path, *, old: bool) -> str:
    """An interpreter that is too old, or one without the module that makes environments, as Debian's is at first."""
    path = folder / "python-of-a-test"
    verdict = 1 if old else 0
    path.write_text(
        "#!/bin/sh\n"
        f'case "$1" in --version) echo Python 3.9.2 ;; -c) exit {verdict} ;; -m) mkdir -p "$3/bin"; exit 1 ;; esac\n'
    )
    path.chmod(0o755)
    return str(path)


def test_an_old_interpreter_is_refused_with_its_version(tmp_path: Path) -> None:
    done = install(str(tmp_path / "venv"), "bot", PYTHON=fake_python(tmp_path, old=True))
    assert done.returncode == 1
    assert "Python 3.9.2 is too old" in done.stderr
    assert not (tmp_path / "venv").exists()


def test_an_environment_that_cannot_be_made_is_not_left_half_made(tmp_path: Path) -> None:
    done = install(str(tmp_path / "venv"), "bot", PYTHON=fake_python(tmp_path, old=False))
    assert done.returncode == 1
    assert "python3-venv" in done.stderr
    assert not (tmp_path / "venv").exists()


@pytest.mark.slow
def test_what_pip_cannot_install_ends_the_script_with_pips_word(tmp_path: Path) -> None:
    # an environment whose pip finds nothing, in the way of a machine without a network
    done = install(str(tmp_path / "venv"), "bot", PIP_NO_INDEX="1", PIP_FIND_LINKS="", PIP_CONFIG_FILE=os.devnull)
    assert done.returncode != 0
    assert "ERROR" in done.stderr
    assert (tmp_path / "venv" / "bin" / "python").exists()
