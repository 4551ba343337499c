from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from typer import Typer
from typer.testing import CliRunner, Result

from foundation.model_versions import VersionNameError
from serving.errors import PolicyError, RegistryError
from serving.models_cli import app_models
from serving.registry.client import Registry
from tests.serving.support import EchoRegistry, free_port

Run = Callable[..., str]


def invoke(*arguments: str) -> Result:
    app = Typer()
    app.add_typer(app_models)
    result = CliRunner(env={"COLUMNS": "300"}).invoke(app, arguments)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


@pytest.fixture(scope="module")
def model(registry: EchoRegistry) -> str:
    """Three versions, the first of them champion."""
    for _ in range(3):
        registry.register("traffic-model")
    registry.alias("traffic-model", "champion", "1")
    registry.alias("traffic-model", "challenger", "3")
    return "traffic-model"


@pytest.fixture
def run(registry: EchoRegistry, model: str) -> Run:
    """Run a command of `models` against the registry, where no gateway listens; return its output without traffic."""
    options = ("--tracking-uri", registry.uri, "--target", f"127.0.0.1:{free_port()}")

    def run_command(*arguments: str) -> str:
        result = invoke("models", *arguments, *options)
        assert result.exit_code == 0, result.output
        return result.stdout

    run_command("split", model, "--end")
    return run_command


def tags(registry: EchoRegistry, model: str) -> dict[str, dict[str, str]]:
    return {entry.version: dict(entry.traffic) for entry in Registry(registry.uri).versions(model) if entry.traffic}


@pytest.mark.parametrize("command", ["split", "ramp", "shadow"])
def test_every_command_explains_itself(command: str) -> None:
    result = invoke("models", command, "--help")
    assert (result.exit_code, "Usage:" in result.output, f"deephypebot models {command} lcgan" in result.output) == (
        0,
        True,
        True,
    )


@pytest.mark.integration
def test_a_split_is_written_told_and_ended(run: Run, registry: EchoRegistry, model: str) -> None:
    told = run("split", model, "1=80", f"{model}/2=15", "challenger=5", "--salt", "winter")
    assert f"registry: {model}/1 answers 80%, {model}/2 answers 15%, {model}/3 answers 5%, units are dealt " in told
    assert "by the salt 'winter'" in told
    assert f"gateway: none serves {model} at" in told
    assert tags(registry, model) == {
        "1": {"traffic_salt": "winter"},
        "2": {"traffic_weight": "15"},
        "3": {"traffic_weight": "5"},
    }
    assert ", as before" in run("split", model, "1=80", "2=15", f"{model}@challenger=5")
    assert "weight 15" in invoke("models", "list", "--tracking-uri", registry.uri).stdout

    assert f"registry: {model}/1 answers 100%" in run("split", model, "--end")
    assert tags(registry, model) == {}


@pytest.mark.integration
def test_weights_are_parts_of_their_sum_and_percents_without_the_champion(run: Run, model: str) -> None:
    assert f"{model}/1 answers 75%, {model}/2 answers 25%" in run("split", model, "1=3", "2=1")
    assert f"{model}/1 answers 88%, {model}/2 answers 12%" in run("split", model, "2=12%")


@pytest.mark.integration
def test_a_ramp_starts_at_the_share_of_now_or_with_a_step(run: Run, registry: EchoRegistry, model: str) -> None:
    told = run("ramp", f"{model}/2", "--to", "50", "--every", "1h")
    assert f"{model}/1 answers 90%, {model}/2 answers 10% (20% from " in told
    assert tags(registry, model)["2"]["traffic_ramp"].startswith("from=10 to=50 step=10 every=3600 start=")
    run("split", model, "1=65", "2=35")
    assert list(tags(registry, model)) == ["2"]
    told = run("ramp", model, "2", "--to", "0", "--step", "20")
    assert f"{model}/2 answers 35% (15% from " in told
    assert f"{model}/3 answers nothing yet (25% from " in run(
        "ramp", model, "3", "--from", "0", "--to", "25", "--step", "40"
    )


@pytest.mark.integration
def test_a_shadow_is_switched_on_and_off_and_outlasts_a_split(run: Run, registry: EchoRegistry, model: str) -> None:
    assert f"{model}/3 gets copies" in run("shadow", f"{model}@challenger")
    run("split", model, "2=10")
    run("split", model, "--end")
    assert tags(registry, model) == {"3": {"traffic_shadow": "true"}}
    assert "gets copies" not in run("shadow", model, "3", "--off")
    assert tags(registry, model) == {}


@pytest.mark.integration
def test_a_promotion_says_that_the_split_is_over(run: Run, registry: EchoRegistry, model: str) -> None:
    run("split", model, "2=10")
    told = run("promote", f"{model}/2")
    assert f"the split is over (traffic tags of {model}/2 are removed); shadows stay" in told
    run("split", model, "1=10")
    assert "the split is over" in run("rollback", model)
    assert "the split is over" not in run("promote", f"{model}/1")
    assert tags(registry, model) == {}


@pytest.mark.integration
def test_a_version_of_a_split_that_was_refused_is_tried_again(run: Run, registry: EchoRegistry, model: str) -> None:
    registry.client.set_model_version_tag(model, "2", "sync_error", "bad weights")
    run("split", model, "3=10")
    assert registry.tag(model, "2", "sync_error") == "bad weights"
    run("split", model, "2=10")
    assert registry.tag(model, "2", "sync_error") == ""


@pytest.mark.integration
@pytest.mark.parametrize(
    ("arguments", "fault", "said"),
    [
        (("split", "{}", "1=80", "9=20"), RegistryError, "has no version '9'; its versions are: 1, 2, 3"),
        (("split", "{}", "2=60", "3=60"), PolicyError, "sum to 120, and leave nothing of 100 for the champion"),
        (("split", "{}", "1=0"), PolicyError, "sum to 0"),
        (("split", "{}", "best=20"), RegistryError, "no alias 'best'"),
        (("split", "nobody", "1=20"), RegistryError, "'nobody' is not registered"),
        (("split", "{}", "a b=20"), VersionNameError, "does not name a version"),
        (("ramp", "{}/1", "--to", "50"), PolicyError, "is the champion and gets what the others leave"),
        (("shadow", "{}/9"), RegistryError, "has no version '9'"),
    ],
)
def test_what_makes_no_sense_is_an_error_and_changes_nothing(
    run: Run, registry: EchoRegistry, arguments: tuple[str, ...], fault: type[Exception], said: str
) -> None:
    with pytest.raises(fault, match=said):
        run(*(argument.format("traffic-model") for argument in arguments))
    assert tags(registry, "traffic-model") == {}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("split", "lcgan"), "name versions with their weights, as in 1=80 2=20"),
        (("split", "lcgan", "2=10", "--end"), "it takes no weights and no salt"),
        (("ramp", "lcgan", "--to", "50"), "name the version of lcgan, as in lcgan/2"),
        (("ramp", "lcgan/2", "--to", "500"), "--to"),
        (("shadow", "lcgan"), "name the version of lcgan"),
    ],
)
def test_an_incomplete_command_says_what_is_missing(arguments: tuple[str, ...], said: str) -> None:
    result = invoke("models", *arguments)
    assert result.exit_code == 2
    assert said in result.output


@pytest.mark.integration
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("split", "{}", "80"), "'80' is not a version with its weight: write 2=20"),
        (("split", "{}", "=80"), "is not a version with its weight"),
        (("split", "{}", "2=much"), "the weight 'much' of traffic-model/2: it is not a number"),
        (("split", "{}", "2=10", "{}/2=20"), "traffic-model/2 has two weights"),
        (("split", "{}", "lcgan/2=10"), "lcgan/2 is a version of another model"),
        (("ramp", "{}/2", "--to", "50", "--step", "0"), "step must be more than 0"),
        (("ramp", "{}/2", "--to", "50", "--every", "soon"), "'soon' is not a length of time"),
    ],
)
def test_a_wrong_value_is_named(registry: EchoRegistry, model: str, arguments: tuple[str, ...], said: str) -> None:
    result = invoke("models", *(each.format(model) for each in arguments), "--tracking-uri", registry.uri)
    assert result.exit_code == 2
    assert said in result.output


@pytest.mark.integration
def test_the_list_has_the_tags_as_json(run: Run, registry: EchoRegistry, model: str) -> None:
    run("split", model, "2=10")
    listed = json.loads(invoke("models", "list", "--json", "--tracking-uri", registry.uri).stdout)
    (entry,) = [each for each in listed if (each["model"], each["version"]) == (model, "2")]
    assert entry["traffic"] == {"traffic_weight": "10"}
