"""scripts/install.sh, up to the point where pip would fetch something: the image and `make` run the rest."""

import hashlib
import json
import os
import subprocess
import sys
import tomllib
import zipfile
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


def test_hashes_of_a_file_that_is_not_there_are_told_by_name(tmp_path: Path) -> None:
    (tmp_path / "report.json").write_text('{"install": []}')
    done = hashed(tmp_path / "report.json", tmp_path / "none.txt")
    assert done.returncode == 1
    assert str(tmp_path / "none.txt") in done.stderr


def hashed(*arguments: Path) -> subprocess.CompletedProcess[str]:
    script = SCRIPT.with_name("hashed.py")
    return subprocess.run(
        [sys.executable, str(script), *map(str, arguments)], capture_output=True, text=True, timeout=60, check=False
    )


@pytest.fixture
def report(tmp_path: Path) -> Path:
    """What pip says that it would install: this project, and two packages."""
    path = tmp_path / "report.json"
    names = ("deephypebot", "Some_Package", "torch")
    path.write_text(json.dumps({"install": [{"metadata": {"name": name}} for name in names]}))
    return path


def test_a_later_file_of_hashes_replaces_the_lines_of_an_earlier_one(report: Path, tmp_path: Path) -> None:
    first, second = tmp_path / "first.txt", tmp_path / "second.txt"
    first.write_text(
        "# a comment\nsome-package==1.0 ; sys_platform != 'x' \\\n    --hash=sha256:aa \\\n    --hash=sha256:bb\n"
        "some-package==0.9 ; sys_platform == 'x' --hash=sha256:cc\n"
        "torch==2.13.0 --hash=sha256:dd\nunused==1 --hash=sha256:ee\n"
    )
    second.write_text("torch==2.13.0+cpu --hash=sha256:ff\n")
    done = hashed(report, first, second)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "some-package==1.0 ; sys_platform != 'x' --hash=sha256:aa --hash=sha256:bb",
        "some-package==0.9 ; sys_platform == 'x' --hash=sha256:cc",
        "torch==2.13.0+cpu --hash=sha256:ff",
    ]


def test_a_package_without_hashes_is_refused_with_the_way_out(report: Path, tmp_path: Path) -> None:
    only = tmp_path / "hashes.txt"
    only.write_text("some-package==1.0 --hash=sha256:aa\n")
    done = hashed(report, only)
    assert (done.returncode, done.stdout) == (1, "")
    assert "no hashes of torch in" in done.stderr
    assert "scripts/lock.sh" in done.stderr


@pytest.mark.parametrize("line", ["torch==2.13.0", "torch>=2 --hash=sha256:aa", "--index-url https://example.org"])
def test_a_line_that_is_no_pin_with_hashes_is_refused(report: Path, tmp_path: Path, line: str) -> None:
    only = tmp_path / "hashes.txt"
    only.write_text(f"{line}\n")
    done = hashed(report, only)
    assert (done.returncode, done.stdout) == (1, "")
    assert repr(line) in done.stderr


def wheel(folder: Path, *, name: str, content: str, version: str = "1.0") -> str:
    """Write a wheel of one module; return its SHA-256."""
    path = folder / f"{name}-{version}-py3-none-any.whl"
    about = f"{name}-{version}.dist-info"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{name}.py", content)
        archive.writestr(f"{about}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        archive.writestr(f"{about}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{about}/RECORD", "")
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.slow
def test_pip_refuses_another_file_than_the_one_whose_hash_is_locked(tmp_path: Path, report: Path) -> None:
    """The lines that are printed are what pip understands: the file of the lock is installed, any other is refused."""
    locked = tmp_path / "hashes.txt"
    digest = {name: wheel(tmp_path, name=name, content="safe = True\n") for name in ("some_package", "torch")}
    locked.write_text("".join(f"{name}==1.0 --hash=sha256:{value}\n" for name, value in digest.items()))
    wanted = tmp_path / "wanted.txt"
    wanted.write_text(hashed(report, locked).stdout)

    def pip(target: str) -> subprocess.CompletedProcess[str]:
        options = ["--no-index", "--no-deps", "--require-hashes", "--find-links", str(tmp_path)]
        return subprocess.run(
            [sys.executable, "-m", "pip", "install", *options, "--target", str(tmp_path / target), "-r", str(wanted)],
            env={**os.environ, "PIP_CONFIG_FILE": os.devnull, "PIP_FIND_LINKS": ""},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    assert pip("good").returncode == 0
    assert (tmp_path / "good" / "torch.py").exists()
    wheel(tmp_path, name="torch", content="safe = False\n")
    refused = pip("bad")
    assert refused.returncode != 0
    assert "DO NOT MATCH THE HASHES" in refused.stderr
    assert not (tmp_path / "bad" / "torch.py").exists()


@pytest.mark.slow
def test_what_builds_the_checkout_does_not_run_before_its_hash_is_checked(tmp_path: Path) -> None:
    ran, index, lock = tmp_path / "ran", tmp_path / "index", tmp_path / "hashes.txt"
    index.mkdir()
    wheel(index, name="hatchling", content=f"open({str(ran)!r}, 'w').close()\n", version="1.99")
    wheel(index, name="editables", content="", version="1.0")
    names = ("hatchling", "editables", "packaging", "pathspec", "pluggy", "tomlkit", "trove-classifiers")
    lock.write_text("".join(f"{name}==1.99 --hash=sha256:{'0' * 64}\n" for name in names))
    python = tmp_path / "venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    python.chmod(0o755)
    settings = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(index), "PIP_CONFIG_FILE": os.devnull}
    done = install(str(tmp_path / "venv"), "bot", HASHES=str(lock), **settings)
    assert done.returncode != 0
    assert not ran.exists()
    assert "hatchling" in done.stderr
