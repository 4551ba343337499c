"""Comparison of exchanges with the networks' published descriptions in the folder DEEPHYPEBOT_SPECS.

x-api-*.openapi.json (the last with tweet.fields: 2.166), spotify-*.yml, sheets.v4.json. Without the variable nothing is
checked; a file that is missing there is an error, because somebody thinks that it is checked against.
"""

from __future__ import annotations

import json
import os
import re
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import jsonschema
import yaml
from openapi_core import Config, OpenAPI
from openapi_core.exceptions import OpenAPIError
from openapi_core.testing.requests import MockRequest
from openapi_core.testing.responses import MockResponse

from bot.sandbox.client import Exchange

FOLDER = os.environ.get("DEEPHYPEBOT_SPECS", "")
_X, _SPOTIFY, _SHEETS = "x-api-v2.166.openapi.json", "spotify-sonallux-fixed.yml", "sheets.v4.json"
_BROKEN = {"html", "truncated", "json", "hang", "hold"}
"""Faults of something between the service and the bot, which no description covers."""


@dataclass(frozen=True, slots=True)
class Counted:
    """Number of requests and answers that were compared with a description."""

    requests: int
    answers: int


def check(exchanges: Iterable[Exchange]) -> Counted:
    """Compare all exchanges that a description covers with it.

    Raises:
        AssertionError: names the call and what is wrong with it.
    """
    requests = answers = 0
    for exchange in exchanges:
        network, _, operation = exchange.operation.partition(".")
        if network not in {"x", "spotify", "sheets"} or operation == "token":
            continue
        refused = exchange.status in {400, 401, 404} and exchange.fault is None
        fault = exchange.fault in _BROKEN or exchange.status >= 500
        try:
            if network == "sheets":
                counted = _check_discovery(exchange, answer=not fault)
            else:
                counted = _check_openapi(network, exchange, request=not refused, answer=not fault)
        except (OpenAPIError, jsonschema.ValidationError, AssertionError) as error:
            cause = error.__cause__ or error
            raise AssertionError(f"{exchange.operation} {exchange.url} -> {exchange.status}: {cause!r}") from error
        requests += counted.requests
        answers += counted.answers
    return Counted(requests, answers)


@cache
def _openapi(network: str) -> tuple[OpenAPI, str, frozenset[int] | None]:
    if network == "x":
        text = (Path(FOLDER) / _X).read_text(encoding="utf-8")
        config = Config(extra_media_type_deserializers={"application/problem+json": json.loads})
        return OpenAPI.from_dict(json.loads(text), config=config), "https://api.x.com", None
    text = (Path(FOLDER) / _SPOTIFY).read_text(encoding="utf-8")
    # It describes successful answers and three kinds of errors.
    return OpenAPI.from_dict(yaml.safe_load(text)), "https://api.spotify.com", frozenset({200, 401, 403, 429})


def _check_openapi(network: str, exchange: Exchange, *, request: bool, answer: bool) -> Counted:
    api, host, described = _openapi(network)
    url = urlsplit(exchange.url)
    asked = MockRequest(
        host,
        exchange.method,
        url.path,
        args=dict(parse_qsl(url.query)),
        headers=dict(exchange.headers),
        data=exchange.body or None,
        content_type=exchange.headers.get("content-type", "application/json"),
    )
    if request:
        with warnings.catch_warnings():
            # One of X's authentication schemes is not supported by openapi-core; the stand-in checks it.
            warnings.filterwarnings("ignore", "Unsupported scheme type")
            api.validate_request(asked)
    answered = answer and (described is None or exchange.status in described)
    if answered:
        kind = exchange.response_headers.get("content-type", "").partition(";")[0]
        api.validate_response(
            asked,
            MockResponse(
                exchange.response_body,
                status_code=exchange.status,
                headers=dict(exchange.response_headers),
                content_type=kind,
            ),
        )
    return Counted(int(request), int(answered))


@cache
def _discovery() -> tuple[dict[str, Any], list[tuple[str, re.Pattern[str], dict[str, Any]]]]:
    """Schemas as JSON schema, and methods with a pattern for their paths."""
    document = json.loads((Path(FOLDER) / _SHEETS).read_text(encoding="utf-8"))
    schemas = {name: _schema(schema) for name, schema in document["schemas"].items()}
    methods = []
    todo = [document]
    while todo:
        resource = todo.pop()
        todo += resource.get("resources", {}).values()
        for method in resource.get("methods", {}).values():
            path = re.sub(r"\\\{\w+\\\}", "([^/:]+|[^/]+)", re.escape(method["path"]))
            known = method.get("parameters", {}) | document["parameters"]
            methods.append((method["httpMethod"], re.compile(f"^/{path}$"), method | {"parameters": known}))
    # The longest pattern first: "values/{range}:append" before "values/{range}".
    methods.sort(key=lambda entry: -len(entry[1].pattern))
    return schemas, methods


def _schema(node: Any) -> Any:
    """Convert Discovery's dialect to JSON schema; a field that is not described is an error."""
    if not isinstance(node, Mapping):
        return node
    if "$ref" in node:
        return {"$ref": f"#/$defs/{node['$ref']}"}
    result: dict[str, Any] = {}
    if node.get("type", "any") != "any":
        result["type"] = node["type"]
    if "enum" in node:
        result["enum"] = node["enum"]
    if "items" in node:
        result["items"] = _schema(node["items"])
    if "properties" in node:
        result["properties"] = {name: _schema(child) for name, child in node["properties"].items()}
        result["additionalProperties"] = False
    elif "additionalProperties" in node:
        result["additionalProperties"] = _schema(node["additionalProperties"])
    return result


def _check_discovery(exchange: Exchange, *, answer: bool) -> Counted:
    schemas, methods = _discovery()
    url = urlsplit(exchange.url)
    path = unquote(url.path.replace("%2F", "%252F"))
    found = [method for verb, pattern, method in methods if verb == exchange.method and pattern.match(path)]
    assert found, f"no method has the path {path}"
    method = found[0]
    for name, value in parse_qsl(url.query):
        assert name in method["parameters"], f"{method['id']} has no parameter {name!r}"
        choices = method["parameters"][name].get("enum")
        assert choices is None or value in choices, f"{name} is one of {choices}, got {value!r}"
    if exchange.body:
        _validate(json.loads(exchange.body), method["request"]["$ref"], schemas)
    answered = answer and exchange.status == 200
    if answered:
        _validate(json.loads(exchange.response_body), method["response"]["$ref"], schemas)
    return Counted(1, int(answered))


def _validate(document: Any, name: str, schemas: dict[str, Any]) -> None:
    jsonschema.Draft202012Validator({"$ref": f"#/$defs/{name}", "$defs": schemas}).validate(_without_nulls(document))


def _without_nulls(document: Any) -> Any:
    """Remove null fields, which Google's JSON treats as absent."""
    if isinstance(document, list):
        return [_without_nulls(item) for item in document]
    if not isinstance(document, dict):
        return document
    return {key: _without_nulls(value) for key, value in document.items() if value is not None}
