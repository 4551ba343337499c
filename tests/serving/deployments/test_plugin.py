"""MLflow's own client, command and plugin store against a registry and a gateway that follows it.

The model `kappa` of the shared service is theirs alone. Each test begins with version 1 as the only live one.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from click.testing import CliRunner
from mlflow.deployments import PredictionsResponse
from mlflow.deployments.cli import commands
from mlflow.deployments.interface import plugin_store
from mlflow.exceptions import MlflowException

from serving.client import CommentaryClient
from serving.deployments import plugin
from serving.deployments.plugin import TorchServeDeployments
from tests.serving.support import EchoRegistry, ServiceProcess, steady_load, wait_until

pytestmark = pytest.mark.integration

MODEL = "kappa"
ROWS: list[dict[str, Any]] = [
    {"genres": ["ambient"], "title": "one", "num_samples": 2, "seed": 7},
    {"genres": ["ambient"], "title": "two"},
]
TRAFFIC_TAGS = ("deployment", "traffic_weight", "traffic_ramp", "traffic_shadow", "sync_error")


@pytest.fixture(scope="module", autouse=True)
def _versions(registry: EchoRegistry, service: ServiceProcess) -> None:  # noqa: ARG001 - it registers version 1
    for broken in (False, False, True):
        registry.register(MODEL, signs=True, broken=broken)


@pytest.fixture(autouse=True)
def client(
    registry: EchoRegistry, service: ServiceProcess, monkeypatch: pytest.MonkeyPatch
) -> Iterator[TorchServeDeployments]:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", registry.uri)
    monkeypatch.setenv("MLFLOW_REGISTRY_URI", registry.uri)
    yield TorchServeDeployments(f"torchserve:/{service.target}")
    registry.alias(MODEL, "champion", "1")
    # The gateway gives `previous` to the version that answered until then.
    wait_until(lambda: champion(service) == "1")
    for alias in ("previous", "challenger"):
        registry.client.delete_registered_model_alias(MODEL, alias)
    for version in ("1", "2", "3", "4"):
        for tag in TRAFFIC_TAGS:
            registry.client.delete_model_version_tag(MODEL, version, tag)


def champion(service: ServiceProcess) -> str:
    with CommentaryClient(service.target) as asking:
        (live,) = asking.describe(MODEL)
    return live.champion


def shares(service: ServiceProcess) -> dict[str, float]:
    with CommentaryClient(service.target) as asking:
        (live,) = asking.describe(MODEL)
    return {version.version: version.share for version in live.versions if version.share}


def code_of(caught: pytest.ExceptionInfo[MlflowException]) -> str:
    return str(caught.value.error_code)


def test_mlflow_accepts_the_module_as_a_plugin() -> None:
    store: Any = plugin_store  # its class has no types
    store.register("deephypebot-under-test", "serving.deployments.plugin")
    try:
        assert store["deephypebot-under-test"] is plugin
    finally:
        store.registry.pop("deephypebot-under-test")


def test_a_deployment_answers_by_its_name_and_takes_no_other_traffic(
    client: TorchServeDeployments, service: ServiceProcess
) -> None:
    made = client.create_deployment("blue", "models:/kappa/2")
    assert (made["name"], made["flavor"], made["state"]) == ("blue", "python_function", "READY")
    assert (made["model_uri"], made["endpoint"], made["share"]) == ("models:/kappa/2", MODEL, 0.0)
    predicted = client.predict("blue", pd.DataFrame(ROWS))
    assert isinstance(predicted, PredictionsResponse)
    answer: Any = predicted  # its class has no types
    rows = answer.get_predictions()
    assert list(rows["request"]) == [0, 0, *[1] * 5]
    assert set(rows["version"]) == {"2"}
    assert rows["text"][0] == "one by 2 from 7"
    assert json.loads(answer.to_json())["predictions"] == answer["predictions"]
    assert shares(service) == {"1": 1.0}
    assert client.get_deployment("blue") == client.list_deployments(MODEL)[-1]


def test_a_name_or_version_that_is_taken_is_refused(client: TorchServeDeployments, registry: EchoRegistry) -> None:
    client.create_deployment("blue", "models:/kappa/2")
    for name, uri in (("blue", "models:/kappa/3"), ("green", "models:/kappa/2"), ("kappa-1", "models:/kappa/3")):
        with pytest.raises(MlflowException, match="already") as caught:
            client.create_deployment(name, uri)
        assert code_of(caught) == "RESOURCE_ALREADY_EXISTS"
    assert registry.tag(MODEL, "3", "deployment") == ""


def test_an_update_by_a_derived_name_leaves_that_name_to_its_version(client: TorchServeDeployments) -> None:
    updated = client.update_deployment("kappa-1", "models:/kappa/2")
    assert (updated["name"], updated["version"]) == ("kappa-2", "2")
    assert {each["name"]: each["version"] for each in client.list_deployments(MODEL)} == {
        "kappa-1": "1",
        "kappa-2": "2",
    }
    with pytest.raises(MlflowException, match="'kappa-3' is already the name of a version") as caught:
        client.create_deployment("kappa-3", "models:/kappa/2")
    assert code_of(caught) == "RESOURCE_ALREADY_EXISTS"


def test_samples_stream_from_a_deployment_and_from_an_endpoint(client: TorchServeDeployments) -> None:
    client.create_deployment("blue", "models:/kappa/2")
    seeded = [{**row, "seed": 7} for row in ROWS]  # else a seed is drawn
    assert list(client.predict_stream("blue", seeded)) == client.predict("blue", seeded)["predictions"]
    assert [row["version"] for row in client.predict_stream(endpoint=MODEL, inputs=ROWS[:1])] == [None, None]
    with pytest.raises(MlflowException, match="row 0: "):
        client.predict_stream("blue", {"genres": [], "num_samples": 0})
    with pytest.raises(MlflowException, match="refused on purpose"):
        list(client.predict_stream("blue", {"genres": [], "artist": "refuse"}))


def test_a_ramp_is_a_setting_of_a_deployment(client: TorchServeDeployments, service: ServiceProcess) -> None:
    client.create_deployment("blue", "models:/kappa/2", config={"ramp": "from=5 to=50 step=15 every=1h"})
    assert shares(service) == {"1": pytest.approx(0.95), "2": pytest.approx(0.05)}
    client.update_deployment("blue", config={"ramp": "to=10 step=1 every=1h"})
    assert shares(service)["2"] == pytest.approx(0.05)


def test_a_version_that_does_not_load_leaves_nothing(client: TorchServeDeployments, registry: EchoRegistry) -> None:
    with pytest.raises(MlflowException, match=r"kappa/4 was refused: .+") as caught:
        client.create_deployment("broken", "models:/kappa/4")
    assert code_of(caught) == "INVALID_STATE"
    assert registry.tag(MODEL, "4", "deployment") == ""
    assert [each["name"] for each in client.list_deployments(MODEL)] == ["kappa-1"]


def test_a_weight_is_a_share_of_the_endpoint_and_goes_with_the_deployment(
    client: TorchServeDeployments, service: ServiceProcess
) -> None:
    client.create_deployment("blue", "models:/kappa/2", config={"weight": "20"})
    assert shares(service) == {"1": pytest.approx(0.8), "2": pytest.approx(0.2)}
    with pytest.raises(MlflowException, match="there is no deployment 'green'") as caught:
        client.update_deployment("green", "models:/kappa/3")
    assert code_of(caught) == "RESOURCE_DOES_NOT_EXIST"
    updated = client.update_deployment("blue", "models:/kappa/3")
    assert (updated["version"], updated["flavor"]) == ("3", "python_function")
    assert shares(service) == {"1": pytest.approx(0.8), "3": pytest.approx(0.2)}
    client.update_deployment("blue", config={"weight": 50, "shadow": False})
    assert shares(service) == {"1": pytest.approx(0.5), "3": pytest.approx(0.5)}
    client.delete_deployment("blue")
    wait_until(lambda: shares(service) == {"1": 1.0})
    client.delete_deployment("blue")  # again: nothing happens


def test_the_champion_is_replaced_under_load_without_a_failure(
    client: TorchServeDeployments, service: ServiceProcess
) -> None:
    with steady_load(service.target, MODEL) as load:
        client.create_deployment("blue", "models:/kappa/2", config={"champion": "true"})
        client.update_deployment("blue", "models:/kappa/3")
    assert not load.failures
    assert set(load.answered) == {"1", "2", "3"}
    assert client.get_endpoint(MODEL)["champion"] == "blue"
    with pytest.raises(MlflowException, match="blue is the champion of kappa") as caught:
        client.delete_deployment("blue")
    assert code_of(caught) == "INVALID_STATE"


def test_an_update_that_does_not_load_changes_nothing(client: TorchServeDeployments, service: ServiceProcess) -> None:
    client.create_deployment("blue", "models:/kappa/2", config={"weight": 30})
    before = client.get_deployment("blue")
    with pytest.raises(MlflowException, match="kappa/4 was refused"):
        client.update_deployment("blue", "models:/kappa/4")
    assert client.get_deployment("blue") == before
    assert shares(service) == {"1": pytest.approx(0.7), "2": pytest.approx(0.3)}


def test_an_endpoint_carries_the_split(client: TorchServeDeployments, service: ServiceProcess) -> None:
    client.create_deployment("blue", "models:/kappa/2")
    document = client.update_endpoint(MODEL, {"split": "1=3 blue=1"})
    assert {each["name"]: each["share"] for each in document["deployments"]} == {"kappa-1": 0.75, "blue": 0.25}
    assert MODEL in [each["name"] for each in client.list_endpoints()]
    answered = client.predict(endpoint=MODEL, inputs=[{"genres": [], "num_samples": 1}] * 40)["predictions"]
    assert {row["version"] for row in answered} == {"1", "2"}
    client.update_endpoint(MODEL, {"split": "end"})
    assert shares(service) == {"1": 1.0}


def test_an_endpoint_is_deleted_and_created_again(client: TorchServeDeployments) -> None:
    with pytest.raises(MlflowException, match="the endpoint kappa exists already"):
        client.create_endpoint(MODEL, {"champion": "1"})
    client.delete_endpoint(MODEL)
    client.delete_endpoint(MODEL)
    assert client.list_deployments(MODEL) == []
    with pytest.raises(MlflowException, match="kappa has no champion, so it is not an endpoint yet"):
        client.get_endpoint(MODEL)
    with pytest.raises(MlflowException, match="name the version that answers"):
        client.create_endpoint(MODEL)
    assert client.create_endpoint(MODEL, {"champion": "1"})["champion"] == "kappa-1"


def test_the_command_of_mlflow_creates_asks_and_deletes(
    service: ServiceProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(plugin_store.registry, "torchserve", plugin)
    target = ["-t", f"torchserve:/{service.target}"]
    asked, answered = tmp_path / "asked.json", tmp_path / "answered.json"
    asked.write_text(json.dumps(ROWS))

    def run(*arguments: str, code: int = 0) -> str:
        result = CliRunner().invoke(commands, [*arguments, *target])
        assert result.exit_code == code, (result.output, result.exception)
        return result.output + (str(result.exception) if result.exception else "")

    monkeypatch.setitem(plugin_store.registry, target[1], plugin)
    assert "create-endpoint" in run("help")
    made = run("create", "--name", "green", "-m", "models:/kappa/2", "-C", "weight=10")
    assert "python_function deployment green is created" in made
    assert "is updated (with flavor python_function)" in run("update", "--name", "green", "-C", "weight=40")
    assert "share: 0.4" in run("get", "--name", "green")
    assert "'green'" in run("list")
    run("predict", "--name", "green", "-I", str(asked), "-O", str(answered))
    assert json.loads(answered.read_text())["predictions"][0]["text"] == "one by 2 from 7"
    assert "green" in run("get-endpoint", "--endpoint", MODEL)
    run("update-endpoint", "--endpoint", MODEL, "-C", "split=end")
    assert "Deployment green is deleted" in run("delete", "--name", "green")
    assert "cannot be the name of a deployment" in run("delete", "--name", "../green", code=1)
    assert "have no explanation" in run("explain", "--name", "green", "-I", str(asked), code=1)


@pytest.mark.parametrize("endpoint", ["nobody", "../kappa"])
def test_an_endpoint_that_does_not_exist_is_named(client: TorchServeDeployments, endpoint: str) -> None:
    with pytest.raises(MlflowException, match=r"is registered|cannot be the name of an endpoint"):
        client.get_endpoint(endpoint)


def test_faults_of_a_request_are_errors_of_mlflow(client: TorchServeDeployments) -> None:
    with pytest.raises(MlflowException, match="name either a deployment or an endpoint"):
        client.predict("blue", ROWS, endpoint=MODEL)
    with pytest.raises(MlflowException, match="there is no deployment 'nobody'"):
        client.predict("nobody", ROWS)
    with pytest.raises(MlflowException, match="refused on purpose") as caught:
        client.predict("kappa-1", [{"genres": [], "artist": "refuse"}])
    assert code_of(caught) == "INVALID_PARAMETER_VALUE"
    with pytest.raises(MlflowException, match="belongs to the endpoint kappa, not to alpha"):
        client.create_deployment("blue", "models:/kappa/2", endpoint="alpha")
    with pytest.raises(MlflowException, match="the flavor 'onnx' cannot be served here"):
        client.create_deployment("blue", "models:/kappa/2", flavor="onnx")


def test_without_a_gateway_nothing_is_written(registry: EchoRegistry) -> None:
    alone = TorchServeDeployments("torchserve:/127.0.0.1:1")
    with pytest.raises(MlflowException, match="start one with `deephypebot serve --models kappa`") as caught:
        alone.create_deployment("blue", "models:/kappa/2")
    assert code_of(caught) == "TEMPORARILY_UNAVAILABLE"
    assert registry.tag(MODEL, "2", "deployment") == ""
    made: dict[str, Any] = alone.create_deployment("blue", "models:/kappa/2", config={"wait": "false"})
    assert made["state"] == "PENDING"
    with pytest.raises(MlflowException) as caught:
        alone.predict("blue", ROWS)
    assert code_of(caught) == "TEMPORARILY_UNAVAILABLE"
