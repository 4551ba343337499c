from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import pytest
from typer import Typer
from typer.testing import CliRunner, Result

from foundation.model_versions import VersionNameError
from handlers.contract import MAX_SEQUENCES
from serving.cli import archive, serve
from serving.client import InvalidRequestError, UnavailableError, UnknownModelError
from serving.errors import RegistryError
from serving.generate_cli import generate
from serving.models_cli import app_models
from tests.serving.support import EchoRegistry, ServiceProcess, free_port

COMMANDS = ("serve", "archive", "generate", "models")


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    app = Typer()
    for command in (serve, archive, generate):
        app.command()(command)
    app.add_typer(app_models)

    def invoke(*arguments: str) -> Result:
        result = CliRunner(env={"COLUMNS": "200"}).invoke(app, arguments)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    return invoke


@pytest.mark.parametrize("command", [*COMMANDS, "models list", "models promote", "models rollback", "models status"])
def test_every_command_explains_itself(run: Callable[..., Result], command: str) -> None:
    result = run(*command.split(), "--help")
    assert result.exit_code == 0
    assert "Usage:" in result.output


def test_help_needs_neither_grpc_nor_mlflow_nor_torch() -> None:
    program = (
        "import sys, serving.cli, serving.generate_cli\n"
        "heavy = {'grpc', 'mlflow', 'torch', 'google.protobuf'} & set(sys.modules)\n"
        "sys.exit(f'imported {heavy}' if heavy else 0)"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_a_wrong_value_is_refused_before_anybody_is_asked(run: Callable[..., Result]) -> None:
    with pytest.raises(InvalidRequestError, match="num_samples: must be between 1 and 64, got 0"):
        run("generate", "-g", "rock", "-n", "0", "--target", f"127.0.0.1:{free_port()}")
    with pytest.raises(InvalidRequestError, match="topic: must have at most 200 characters"):
        run("generate", "-g", "rock", "--topic", "t" * 201, "--target", f"127.0.0.1:{free_port()}")
    with pytest.raises(InvalidRequestError, match=r"bad_words: must hold single words .* got 'two words'"):
        run("generate", "--bad-words", "one, two words", "--target", f"127.0.0.1:{free_port()}")
    with pytest.raises(InvalidRequestError, match="min_tokens: must be at most max_tokens, 9, got 10"):
        run("generate", "--max-tokens", "9", "--min-tokens", "10", "--target", f"127.0.0.1:{free_port()}")


def test_nobody_listening_is_said_with_the_command_that_starts_a_gateway_there(run: Callable[..., Result]) -> None:
    target = f"127.0.0.1:{free_port()}"
    started = rf"no gateway answers at {target}; start one: \S*deephypebot serve --port {target.partition(':')[2]} "
    with pytest.raises(UnavailableError, match=started):
        run("generate", "-g", "rock", "--target", target)
    with pytest.raises(UnavailableError, match=started):
        run("generate", "--model", "lcgan@challenger", "--target", target)
    with pytest.raises(UnavailableError, match=started):
        run("models", "status", "--target", target)


def test_a_workspace_without_a_registry_says_what_makes_one(run: Callable[..., Result], tmp_path: Path) -> None:
    with pytest.raises(RegistryError, match="deephypebot train"):
        run("models", "list", "--workspace", str(tmp_path))


def test_serving_nothing_is_refused(run: Callable[..., Result]) -> None:
    assert run("serve", "--models", " , ").exit_code == 2


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["archive", "lcgan/two"], "'lcgan/two' does not name a version: write lcgan/2"),
        (["archive", "lcgan/2", "3"], "contradict each other: write lcgan/2 or lcgan/3"),
        (["models", "promote", "lcgan/2", "champion"], "contradict each other"),
        (["generate", "--model", "lcgan/2", "--version", "3"], "contradict each other"),
        (["generate", "--model", "../cvae"], "does not name a version"),
    ],
)
def test_what_names_no_version_is_refused_before_anybody_is_asked(
    run: Callable[..., Result], arguments: list[str], said: str, registry: EchoRegistry
) -> None:
    more = ["-g", "rock"] if arguments[0] == "generate" else ["--tracking-uri", registry.uri]
    with pytest.raises((RegistryError, VersionNameError), match=said):
        run(*arguments, *more)


def test_a_promotion_of_a_model_without_its_version_asks_for_it(run: Callable[..., Result], tmp_path: Path) -> None:
    result = run("models", "promote", "lcgan", "--workspace", str(tmp_path))
    assert result.exit_code == 2
    assert "as in lcgan/2" in result.output


@pytest.mark.integration
def test_an_archive_is_fetched_by_every_spelling_of_its_version(
    run: Callable[..., Result], registry: EchoRegistry, tmp_path: Path
) -> None:
    registry.alias("zeta", "champion", registry.register("zeta"))
    fetched = tmp_path / "zeta_1.mar"
    for name in (["zeta/1"], ["zeta@champion"], ["zeta"], ["models:/zeta@champion"], ["zeta", "1"]):
        result = run("archive", *name, "--out", str(tmp_path), "--tracking-uri", registry.uri)
        assert str(fetched) in result.stdout
        assert sha256(fetched.read_bytes()).hexdigest() in result.stdout
        fetched.unlink()


@pytest.mark.integration
def test_a_promotion_without_a_gateway_is_written_and_says_so(
    run: Callable[..., Result], registry: EchoRegistry
) -> None:
    registry.register("eta")
    options = ("--tracking-uri", registry.uri, "--target", f"127.0.0.1:{free_port()}")
    result = run("models", "promote", "eta", "1", *options)
    assert result.exit_code == 0
    assert "registry: eta/1 is the champion" in result.stdout
    again = run("models", "promote", "eta/1", *options)
    assert "registry: eta/1 is the champion already" in again.stdout
    assert "none serves eta" in result.stdout
    with pytest.raises(RegistryError, match="no previous champion"):
        run("models", "rollback", "eta", *options)


@pytest.mark.integration
def test_the_commands_follow_a_version_from_registration_to_rollback(
    run: Callable[..., Result], registry: EchoRegistry, service: ServiceProcess
) -> None:
    model = "gamma"
    asked = ("--target", service.target)
    told = (*asked, "--tracking-uri", registry.uri)
    ask = ("generate", "-g", "dream pop, shoegaze", "-t", "[bold]Tide[/bold]", "-n", "2", "--model", model, *asked)
    version = registry.register(model)
    before = json.loads(run(*ask, "--json").stdout)["model"]["version"]

    assert f"answers with {model}/{version}" in run("models", "promote", model, version, *told).stdout
    answer = json.loads(run(*ask, "--json").stdout)
    assert answer["model"]["version"] == version
    assert answer["genres_used"] == ["dream pop", "shoegaze"]
    table = run(*ask, "--version", before).stdout
    assert table.count("[bold]Tide[/bold]") == 2
    assert f"{model}/{before}, genres: " in table
    pinned = ("generate", "-g", "pop", "-n", "1", *asked)
    for name in (f"{model}/{before}", f"{model}@previous"):
        assert f"{model}/{before}, genres: " in run(*pinned, "--model", name).stdout
    for name in (model, f"{model}@champion"):
        assert f"{model}/{version}, genres: " in run(*pinned, "--model", name, "--unit", "ona").stdout
    with pytest.raises(UnknownModelError, match=f"{model} has no live version 'challenger'; live: 1 "):
        run(*pinned, "--model", f"{model}@challenger")

    status = json.loads(run("models", "status", *asked, "--json").stdout)
    (live,) = [entry for entry in status["models"] if entry["name"] == model]
    assert (status["serving"], live["champion"]) == (True, version)
    assert status["limits"]["max_sequences"] == MAX_SEQUENCES
    assert (live["versions"][0]["precision"], live["versions"][0]["genres"]) == ("fp32", ["pop"])
    shown = run("models", "status", *asked).stdout
    assert f"{model}/{version} (answers)" in shown
    assert "A request may ask for 64 samples of 128 tokens" in shown

    assert f"answers with {model}/{before}" in run("models", "rollback", model, *told).stdout
    listed = json.loads(run("models", "list", "--tracking-uri", registry.uri, "--json").stdout)
    aliases = {entry["version"]: entry["aliases"] for entry in listed if entry["model"] == model}
    assert (aliases[before], aliases[version]) == (["champion"], ["previous"])
    with pytest.raises(UnknownModelError, match="no live version '99'"):
        run(*ask, "--version", "99")


@pytest.mark.integration
def test_the_tracking_server_of_the_environment_is_used(
    run: Callable[..., Result], registry: EchoRegistry, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    registry.register("theta")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", registry.uri)
    result = run("models", "list", "--workspace", os.fspath(tmp_path))
    assert "theta" in result.stdout
