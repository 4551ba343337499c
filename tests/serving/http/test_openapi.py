"""The OpenAPI document: valid by other tools, and true of what the door takes and answers."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from openapi_core import Config, OpenAPI
from openapi_core.testing import MockRequest, MockResponse
from openapi_spec_validator import validate

from handlers.contract import EXAMPLE_SAMPLING, RANGES, REQUEST_FIELDS, CommentaryRequest, ContractError, field_values
from serving.http.app import TIMEOUT_HEADER
from serving.http.openapi import openapi_document, request_schema
from serving.http.problems import PROBLEM_TYPE
from serving.v1 import commentary_pb2
from tests.serving.http.doors import GENERATE, in_process
from tests.serving.http.test_app import answer_sample


def document() -> dict[str, Any]:
    return openapi_document(TIMEOUT_HEADER, has_webhooks=True)


def test_it_is_a_valid_document() -> None:
    validate(document())


def test_it_has_every_field_of_a_request_with_its_meaning() -> None:
    properties = request_schema()["properties"]
    assert set(properties) == {*REQUEST_FIELDS, "interleave"}
    unexplained = {name for name, schema in properties.items() if "description" not in schema}
    assert unexplained <= {"num_samples", "request_id"}


@pytest.mark.parametrize("name", sorted(RANGES))
def test_the_range_of_a_number_is_the_one_that_is_checked(name: str) -> None:
    low, high = RANGES[name]
    validator = Draft202012Validator(request_schema())
    base: dict[str, Any] = {"genres": [], **({"max_tokens": 128} if name == "min_tokens" else {})}
    for value in (low, high):
        CommentaryRequest.from_mapping({**base, name: value})
        assert validator.is_valid({**base, name: value})
    step = 1 if isinstance(low, int) else 1e-3
    for value in (low - step, high + step):
        with pytest.raises(ContractError, match=name):
            CommentaryRequest.from_mapping({**base, name: value})
        assert not validator.is_valid({**base, name: value})


def test_a_request_with_every_sampling_parameter_fits() -> None:
    sampling = field_values(EXAMPLE_SAMPLING) | {"bad_words": list(EXAMPLE_SAMPLING.bad_words)}
    request = {"genres": ["dream pop"], "seed": str(2**62), "interleave": False, **sampling}
    Draft202012Validator(request_schema()).validate(request)
    assert not Draft202012Validator(request_schema()).is_valid({"nonsense": 1})


def test_answers_and_problems_of_the_door_fit_by_openapi_core() -> None:
    reading: Any = {PROBLEM_TYPE: json.loads}
    api = OpenAPI.from_dict(document(), config=Config(extra_media_type_deserializers=reading))
    cases = [
        ("POST", GENERATE, {"genres": ["zydeco"], "request_id": "r"}, 200),
        ("POST", "/v1/models/lcgan/versions/1:generate", {}, 200),
        ("POST", "/v1/models/lcgan/versions/9:generate", {}, 404),
        ("GET", "/v1/models", None, 200),
        ("GET", "/v1/models/cvae", None, 200),
        ("GET", "/v1/models/nobody", None, 404),
        ("GET", "/readyz", None, 200),
    ]

    async def scene() -> None:
        async with in_process(answer_sample) as door:
            for method, path, body, status in cases:
                response = await door.client.request(method, path, json=body)
                assert response.status_code == status
                sent = response.request.content
                request = MockRequest("http://localhost", method.lower(), path, data=sent or None)
                if body is not None:
                    api.validate_request(request)
                media_type = response.headers["Content-Type"]
                api.validate_response(
                    request, MockResponse(response.content, status_code=status, content_type=media_type)
                )
            served = (await door.client.get("/openapi.json")).json()
            assert served == openapi_document(TIMEOUT_HEADER, has_webhooks=False)
            assert set(served["paths"]) == set(document()["paths"]) - {"/webhooks/mlflow"}

    asyncio.run(scene())


def test_every_message_of_an_answer_is_described() -> None:
    schemas = document()["components"]["schemas"]
    for message in (commentary_pb2.Sample, commentary_pb2.ArmAnswer, commentary_pb2.LiveVersion):
        described = schemas[message.DESCRIPTOR.name]["properties"]
        assert set(described) == {field.name for field in message.DESCRIPTOR.fields}
    assert "description" in schemas["Sample"]["properties"]["log_prob"]
