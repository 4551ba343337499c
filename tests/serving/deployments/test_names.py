from __future__ import annotations

from typing import Any

import pytest
from mlflow.exceptions import MlflowException

from serving.deployments.names import check_name, gateway_target, resolve
from serving.registry.client import Registry
from tests.serving.support import EchoRegistry

TRICKS = (
    "", "../lcgan", "a/b", "a\\b", "/etc/passwd", "..", ".", "a..b", "%2e%2e", "a b", "a\n", "a\x00", "-rf", "né",
    "a" * 65, "a:b", "a@b", "{x}", None, 7,
)  # fmt: skip


@pytest.mark.parametrize("name", TRICKS)
def test_a_name_with_a_trick_is_refused(name: Any) -> None:
    with pytest.raises(MlflowException, match="cannot be the name of a deployment") as caught:
        check_name("a deployment", name)
    assert caught.value.error_code == "INVALID_PARAMETER_VALUE"


@pytest.mark.parametrize("name", ["blue", "lcgan-2", "a.b_c-D9", "9", "a" * 64])
def test_a_plain_name_is_taken(name: str) -> None:
    assert check_name("a deployment", name) == name


def test_a_long_name_is_cut_in_the_message() -> None:
    with pytest.raises(MlflowException) as caught:
        check_name("a deployment", "x" * 10_000)
    assert len(str(caught.value)) < 400


def test_the_gateway_is_that_of_the_uri_or_the_variable_or_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DEEPHYPEBOT_TARGET", raising=False)
    assert gateway_target("torchserve") == "127.0.0.1:50051"
    assert gateway_target("torchserve:/10.0.0.1:6000") == gateway_target("torchserve://10.0.0.1:6000")
    monkeypatch.setenv("DEEPHYPEBOT_TARGET", "10.0.0.2:7000")
    assert gateway_target("torchserve") == "10.0.0.2:7000"
    assert gateway_target("torchserve:/10.0.0.1:6000") == "10.0.0.1:6000"


@pytest.mark.slow
def test_a_uri_leads_to_its_version(registry: EchoRegistry) -> None:
    first, second = registry.register("uris"), registry.register("uris")
    registry.alias("uris", "challenger", first)
    run = registry.client.get_model_version("uris", second).run_id
    reader = Registry(registry.uri)
    assert resolve(reader, "models:/uris/1").version == first
    assert resolve(reader, "models:/uris@challenger").version == first
    assert resolve(reader, f"runs:/{run}/model").version == second


@pytest.mark.slow
@pytest.mark.parametrize(
    ("uri", "code", "told"),
    [
        ("models:/unpacked/9", "RESOURCE_DOES_NOT_EXIST", "the versions of unpacked are: 1"),
        ("models:/unpacked@champion", "RESOURCE_DOES_NOT_EXIST", "unpacked@champion is not registered"),
        ("models:/nobody/1", "RESOURCE_DOES_NOT_EXIST", "no model 'nobody' is registered"),
        ("models:/../unpacked/1", "INVALID_PARAMETER_VALUE", "does not name a registered version"),
        ("/srv/model", "INVALID_PARAMETER_VALUE", "does not name a registered version"),
        ("unpacked/1", "INVALID_PARAMETER_VALUE", "does not name a registered version"),
        ("s3://bucket/model", "INVALID_PARAMETER_VALUE", "does not name a registered version"),
        ("runs:/" + "0" * 32 + "/model", "RESOURCE_DOES_NOT_EXIST", "no registered version comes from"),
        (None, "INVALID_PARAMETER_VALUE", "a model's URI is a text"),
        ("models:/unpacked/1", "INVALID_PARAMETER_VALUE", "unpacked/1 has no archive"),
    ],
)
def test_a_uri_that_leads_nowhere_is_refused_with_the_way_out(
    registry: EchoRegistry, uri: Any, code: str, told: str
) -> None:
    if not registry.client.search_registered_models("name = 'unpacked'"):
        registry.client.create_registered_model("unpacked")
        registry.client.create_model_version("unpacked", source="nowhere")
    with pytest.raises(MlflowException, match=told) as caught:
        resolve(Registry(registry.uri), uri)
    assert caught.value.error_code == code
