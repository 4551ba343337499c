from __future__ import annotations

from typing import Any

import pytest
from mlflow.exceptions import MlflowException

from serving.deployments.config import DeploymentConfig, EndpointConfig


def test_texts_of_the_command_line_become_values() -> None:
    texts = {"weight": "20%", "shadow": "TRUE", "wait": "no", "timeout_s": "5"}
    assert DeploymentConfig.parse(texts) == DeploymentConfig(weight=20.0, shadow=True, wait=False, timeout_s=5.0)
    values = {"weight": 20, "shadow": True, "wait": False, "timeout_s": 5.0}
    assert DeploymentConfig.parse(values) == DeploymentConfig.parse(texts)


@pytest.mark.parametrize(
    ("text", "share", "first"),
    [("to=50", 0.0, 10.0), ("to=50", 25.0, 25.0), ("to=5", 0.0, 5.0), ("from=1 to=50", 9.0, 1.0)],
)
def test_a_ramp_begins_with_its_own_share_or_a_step(text: str, share: float, first: float) -> None:
    ramp = DeploymentConfig.parse({"ramp": text}).ramp
    assert ramp is not None
    assert (ramp.begin(share, 7.9).first, ramp.begin(share, 7.9).start_s) == (first, 7)


def test_nothing_is_the_default() -> None:
    assert DeploymentConfig.parse(None) == DeploymentConfig.parse({}) == DeploymentConfig()
    assert EndpointConfig.parse(None) == EndpointConfig()


def test_a_split_is_a_text_or_a_mapping() -> None:
    expected = {"1": 80.0, "blue": 20.0}
    assert EndpointConfig.parse({"split": "1=80 blue=20"}).split == expected
    assert EndpointConfig.parse({"split": "1=80, blue=20%"}).split == expected
    assert EndpointConfig.parse({"split": {1: 80, "blue": "20"}}).split == expected
    assert EndpointConfig.parse({"split": "end"}).split == {}


@pytest.mark.parametrize(
    ("config", "told"),
    [
        (
            {"wieght": "20"},
            "unknown setting 'wieght'; the settings are champion, ramp, shadow, timeout_s, wait, weight",
        ),
        ({"weight": "much"}, "weight must be a number from 0 to 100, got 'much'"),
        ({"weight": "101"}, "weight must be a number from 0 to 100"),
        ({"weight": "nan"}, "weight must be a number from 0 to 100"),
        ({"weight": True}, "weight must be a number from 0 to 100, got True"),
        ({"shadow": "perhaps"}, "shadow must be true or false, got 'perhaps'"),
        ({"timeout_s": "0"}, "timeout_s must be a number from 0.1"),
        ({"champion": "true", "weight": "20"}, "champion and weight contradict each other"),
        ({"champion": "true", "ramp": "to=50"}, "champion and ramp contradict each other"),
        ({"weight": "20", "ramp": "to=50"}, "weight and ramp contradict each other"),
        ({"ramp": "step=5"}, "ramp is written as .* got 'step=5': a ramp has `to`"),
        ({"ramp": "to=50 until=7"}, "a ramp has `to`"),
        ({"ramp": "to=50 step=0"}, "the ramp would never end"),
        ({"ramp": "to=50 every=soon"}, "'soon' is not a length of time"),
        ({"ramp": "to=-1"}, "it is negative"),
    ],
)
def test_a_wrong_setting_of_a_deployment_is_refused(config: dict[str, Any], told: str) -> None:
    with pytest.raises(MlflowException, match=told):
        DeploymentConfig.parse(config)


@pytest.mark.parametrize(
    ("config", "told"),
    [
        ({"weights": "1=2"}, "unknown setting 'weights'; the settings are champion, salt, split, timeout_s, wait"),
        ({"split": "80"}, "split is written as"),
        ({"split": "=80"}, "split is written as"),
        ({"split": "1=80 1=20"}, "'1' has two weights"),
        ({"split": "1=-3"}, "the weight of 1 must be a number from 0"),
        ({"salt": "autumn"}, "salt belongs to a split"),
        ({"salt": "autumn", "split": "end"}, "salt belongs to a split"),
    ],
)
def test_a_wrong_setting_of_an_endpoint_is_refused(config: dict[str, Any], told: str) -> None:
    with pytest.raises(MlflowException, match=told):
        EndpointConfig.parse(config)
