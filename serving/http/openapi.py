"""OpenAPI document of the door, made from the contract's dataclasses and the messages of the service.

Fields, ranges, defaults and meanings of requests are those of `handlers.contract`, the types of answers those of
`serving/v1/commentary.proto`, and their meanings those of the dataclasses of the same names.
"""

from __future__ import annotations

import dataclasses
import types
from enum import StrEnum
from functools import cache
from typing import Any, Final, Union, get_args, get_origin, get_type_hints

from google.protobuf.descriptor import Descriptor, FieldDescriptor

from foundation.docstrings import attribute_docs
from foundation.version import project_version
from handlers import contract
from handlers.contract import (
    MAX_BAD_WORDS,
    MAX_GENRES,
    MAX_TEXT_LENGTH,
    RANGES,
    CommentaryRequest,
    CommentaryResponse,
    SamplingParams,
)
from serving import wire
from serving.http.messages import INTERLEAVE_FIELD
from serving.http.problems import PROBLEM_TYPE
from serving.http.webhooks import ID_HEADER, SIGNATURE_HEADER, TIMESTAMP_HEADER, WEBHOOK_PATH
from serving.interleaving import ArmAnswer, InterleavedResponse
from serving.v1 import commentary_pb2

_JSON: Final = "application/json"
_INTEGER_TEXT: Final = {"type": "string", "pattern": "^-?[0-9]+$", "description": "64-bit integer"}
_DOUBLE: Final = {"anyOf": [{"type": "number"}, {"enum": ["NaN", "Infinity", "-Infinity"]}]}
_INTEGERS_OF_64: Final = {FieldDescriptor.TYPE_INT64, FieldDescriptor.TYPE_UINT64}
_MAX_ITEMS: Final = {"genres": MAX_GENRES, "bad_words": MAX_BAD_WORDS}
_DATACLASSES: Final[dict[str, tuple[type, ...]]] = {
    "GenerateResponse": (CommentaryResponse, InterleavedResponse),
    "Sample": (contract.Sample,),
    "ModelVersion": (contract.ModelIdentity,),
    "Timings": (contract.Timings,),
    "ArmAnswer": (ArmAnswer,),
    "LiveModel": (wire.LiveModel,),
    "LiveVersion": (wire.LiveVersion,),
    "RampStep": (wire.NextStep,),
    "Limits": (wire.RequestLimits,),
}
_FAULTS: Final = {
    "400": "A value is invalid; `field` names it.",
    "401": "The client must say who it is.",
    "403": "The client may not ask.",
    "404": "The model or the version is not live.",
    "408": "The body did not arrive in time.",
    "413": "The body is too large.",
    "415": "The media type is not application/json.",
    "421": "The header Host is not a name of this machine.",
    "429": "The gateway is at its limit; Retry-After says when to try again.",
    "500": "The service is at fault.",
    "503": "Nothing can answer now.",
    "504": "The answer did not come in time.",
}


@cache
def openapi_document(timeout_header: str, *, has_webhooks: bool) -> dict[str, Any]:
    """Return the OpenAPI 3.1 document of a door.

    Args:
        timeout_header: name of the header for a request's time.
        has_webhooks: whether the door takes MLflow's webhooks.
    """
    schemas = {"GenerateRequest": request_schema(), "Problem": _problem_schema()}
    for message in (commentary_pb2.GenerateResponse, commentary_pb2.DescribeResponse):
        _add_message(message.DESCRIPTOR, schemas)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "deephypebot gateway",
            "version": project_version(),
            "description": "Samples of small text generators, by the versions that are live.",
        },
        "paths": _paths(timeout_header, has_webhooks=has_webhooks),
        "components": {"schemas": schemas},
    }


def request_schema() -> dict[str, Any]:
    """Return the JSON schema of a request for samples."""
    properties: dict[str, Any] = {}
    for owner in (CommentaryRequest, SamplingParams):
        hints, docs = get_type_hints(owner), attribute_docs(owner)
        for field in dataclasses.fields(owner):
            if field.name == "sampling":
                continue
            schema = _type_schema(field.name, hints[field.name])
            default = field.default.value if isinstance(field.default, StrEnum) else field.default
            if default is not dataclasses.MISSING and default is not None:
                schema["default"] = list(default) if isinstance(default, tuple) else default
            if field.name in docs:
                schema["description"] = docs[field.name]
            properties[field.name] = schema
    properties[INTERLEAVE_FIELD] = {
        "type": "boolean",
        "default": False,
        "description": "Whether all arms of the model's running interleaved experiment are asked, in equal shares.",
    }
    return {"type": "object", "properties": dict(sorted(properties.items())), "additionalProperties": False}


def _type_schema(name: str, hint: Any) -> dict[str, Any]:
    """Return the schema of a request's field from its type and the contract's limits."""
    kinds = get_args(hint) if get_origin(hint) in {types.UnionType, Union} else (hint,)
    optional = type(None) in kinds
    (kind, *_) = (each for each in kinds if each is not type(None))
    schema: dict[str, Any]
    if get_origin(kind) in {tuple, list}:
        schema = {"type": "array", "items": {"type": "string", "maxLength": MAX_TEXT_LENGTH}}
        schema["maxItems"] = _MAX_ITEMS[name]
    elif kind in {int, float}:
        low, high = RANGES[name]
        schema = {"type": "integer" if kind is int else "number", "minimum": low, "maximum": high}
    elif isinstance(kind, type) and issubclass(kind, StrEnum):
        schema = {"type": "string", "enum": [each.value for each in kind]}
    elif kind is str:
        schema = {"type": "string", "maxLength": MAX_TEXT_LENGTH}
    else:
        raise TypeError(f"the field {name} has a type without a schema: {hint}")
    if name == "seed":  # larger than what most readers of JSON keep
        return {"anyOf": [schema, {"type": "string", "pattern": "^(0|[1-9][0-9]*)$"}, {"type": "null"}]}
    return {"anyOf": [schema, {"type": "null"}]} if optional else schema


def _add_message(message: Descriptor, schemas: dict[str, Any]) -> None:
    """Add the schema of a message and of those in it, unless they are there."""
    if message.name in schemas:
        return
    docs: dict[str, str] = {}
    for owner in reversed(_DATACLASSES.get(message.name, ())):
        docs |= attribute_docs(owner)
    schemas[message.name] = schema = {"type": "object", "properties": {}, "required": []}
    properties: dict[str, Any] = {}
    for field in message.fields:
        properties[field.name] = _field_schema(field, schemas)
        if field.name in docs and "$ref" not in properties[field.name]:
            properties[field.name]["description"] = docs[field.name]
    schema["properties"] = properties
    schema["required"] = [field.name for field in message.fields if not field.has_presence]


def _field_schema(field: FieldDescriptor, schemas: dict[str, Any]) -> dict[str, Any]:
    message = field.message_type
    if message is not None and message.GetOptions().map_entry:
        return {"type": "object", "additionalProperties": _value_schema(message.fields_by_name["value"], schemas)}
    value = _value_schema(field, schemas)
    return {"type": "array", "items": value} if field.is_repeated else value


def _value_schema(field: FieldDescriptor, schemas: dict[str, Any]) -> dict[str, Any]:
    if field.message_type is not None:
        _add_message(field.message_type, schemas)
        return {"$ref": f"#/components/schemas/{field.message_type.name}"}
    if field.type == FieldDescriptor.TYPE_STRING:
        return {"type": "string"}
    if field.type == FieldDescriptor.TYPE_BOOL:
        return {"type": "boolean"}
    if field.type in _INTEGERS_OF_64:
        return dict(_INTEGER_TEXT)
    if field.type == FieldDescriptor.TYPE_DOUBLE:
        return dict(_DOUBLE)
    if field.type == FieldDescriptor.TYPE_INT32:
        return {"type": "integer"}
    raise TypeError(f"the field {field.full_name} has a type without a schema")


def _problem_schema() -> dict[str, Any]:
    return {
        "type": "object",
        "description": "Problem details (RFC 9457).",
        "properties": {
            "type": {"type": "string"},
            "title": {"type": "string"},
            "status": {"type": "integer"},
            "detail": {"type": "string", "description": "Reason, with the value and the way out."},
            "code": {"type": "string", "description": "Name of the gRPC status code."},
            "field": {"type": "string", "description": "Field or header at fault."},
            "retry_after_ms": {"type": "integer", "description": "Pause before a retry, in milliseconds."},
        },
        "required": ["type", "title", "status", "detail"],
    }


def _paths(timeout_header: str, *, has_webhooks: bool) -> dict[str, Any]:
    model, version = _path_parameter("model"), _path_parameter("version")
    timeout = {
        "name": timeout_header,
        "in": "header",
        "description": "Time for the answer, in seconds.",
        "schema": {"type": "number", "exclusiveMinimum": 0},
    }
    paths: dict[str, Any] = {
        "/v1/models/{model}:generate": {
            "post": _generate("generate", "Samples of the version that the model's shares give.", [model, timeout])
        },
        "/v1/models/{model}/versions/{version}:generate": {
            "post": _generate("generateByVersion", "Samples of one live version.", [model, version, timeout])
        },
        "/v1/models": {"get": _describe("listModels", "Live models and versions, and limits of a request.", [])},
        "/v1/models/{model}": {"get": _describe("getModel", "Live versions of one model.", [model])},
        "/healthz": {"get": _status("isAlive", "Whether the process runs.", [])},
        "/readyz": {"get": _status("isReady", "Whether the default model answers.", ["503"])},
        "/openapi.json": {"get": _status("getOpenapi", "This document.", [])},
    }
    if has_webhooks:
        headers = [
            {"name": name, "in": "header", "required": True, "schema": {"type": "string"}}
            for name in (ID_HEADER, TIMESTAMP_HEADER, SIGNATURE_HEADER)
        ]
        faults = ["401", "408", "413", "415", "503"]
        paths[WEBHOOK_PATH] = {
            "post": {
                "operationId": "tellChange",
                "summary": "A change of the registry, signed by MLflow, which wakes the poll.",
                "parameters": headers,
                "requestBody": {"required": True, "content": {_JSON: {"schema": {"type": "object"}}}},
                "responses": {
                    "204": {"description": "The poll is woken."},
                    "409": _problem("The delivery was received before."),
                    **{status: _problem(_FAULTS[status]) for status in faults},
                },
            }
        }
    return paths


def _path_parameter(name: str) -> dict[str, Any]:
    return {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}


def _generate(operation: str, summary: str, parameters: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "operationId": operation,
        "summary": summary,
        "parameters": parameters,
        "requestBody": {"required": True, "content": {_JSON: {"schema": _reference("GenerateRequest")}}},
        "responses": {"200": _answer("GenerateResponse"), **{code: _problem(text) for code, text in _FAULTS.items()}},
    }


def _describe(operation: str, summary: str, parameters: list[dict[str, Any]]) -> dict[str, Any]:
    faults = ["401", "403", "421", *(["404"] if parameters else [])]
    return {
        "operationId": operation,
        "summary": summary,
        "parameters": parameters,
        "responses": {"200": _answer("DescribeResponse"), **{code: _problem(_FAULTS[code]) for code in faults}},
    }


def _status(operation: str, summary: str, faults: list[str]) -> dict[str, Any]:
    good = {"description": "Yes.", "content": {_JSON: {"schema": {"type": "object"}}}}
    return {
        "operationId": operation,
        "summary": summary,
        "responses": {"200": good, **{code: _problem(_FAULTS[code]) for code in ("421", *faults)}},
    }


def _answer(schema: str) -> dict[str, Any]:
    return {"description": "The answer.", "content": {_JSON: {"schema": _reference(schema)}}}


def _problem(description: str) -> dict[str, Any]:
    return {"description": description, "content": {PROBLEM_TYPE: {"schema": _reference("Problem")}}}


def _reference(schema: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{schema}"}
