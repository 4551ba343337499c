from __future__ import annotations

from typing import Any

from opentelemetry.semconv._incubating.attributes import (
    feature_flag_attributes,
    gen_ai_attributes,
    rpc_attributes,
)
from opentelemetry.semconv.attributes import error_attributes, server_attributes, service_attributes

from serving.telemetry import names

CONVENTIONS = (
    feature_flag_attributes,
    gen_ai_attributes,
    rpc_attributes,
    error_attributes,
    server_attributes,
    service_attributes,
)
PREFIXES = ("gen_ai.", "feature_flag.", "rpc.", "error.", "server.", "service.")


def _ours() -> dict[str, Any]:
    return {name: value for name, value in vars(names).items() if name.isupper() and "." in value}


def test_the_names_of_the_conventions_are_those_of_the_installed_package() -> None:
    known = {value for module in CONVENTIONS for value in vars(module).values() if isinstance(value, str)}
    events = {"feature_flag.evaluation", "gen_ai.evaluation.result"}
    borrowed = {value for value in _ours().values() if value.startswith(PREFIXES)}
    assert borrowed
    assert borrowed - events <= known


def test_names_of_our_own_have_our_prefix() -> None:
    methods = {names.GENERATE, names.PREDICTIONS}
    own = {value for value in _ours().values() if not value.startswith(PREFIXES)} - methods
    assert own
    assert all(value.startswith("deephypebot.") for value in own)


def test_the_values_are_those_that_the_conventions_list() -> None:
    assert gen_ai_attributes.GenAiOperationNameValues.TEXT_COMPLETION.value == names.TEXT_COMPLETION
    assert rpc_attributes.RpcSystemNameValues.GRPC.value == names.GRPC


def test_no_name_is_used_twice() -> None:
    values = [value for name, value in vars(names).items() if name.isupper()]
    assert len(values) == len(set(values))
