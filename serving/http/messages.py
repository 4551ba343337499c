"""Requests and answers as JSON: the JSON mapping of `serving/v1/commentary.proto`, with the names of its fields.

As in that mapping, integers of 64 bits are strings in answers, since most readers of JSON round them, and either in
requests. Fields at their defaults are present in answers.
"""

from __future__ import annotations

import json
import re
from typing import Any, Final

import grpc
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message
from starlette.responses import Response

from handlers.contract import REQUEST_FIELDS, CommentaryRequest, ContractError
from serving import wire
from serving.http.problems import ProblemError
from serving.v1 import commentary_pb2

INTERLEAVE_FIELD: Final = "interleave"
_DECIMAL: Final = re.compile(r"-?(0|[1-9][0-9]{0,18})")


def request_message(document: dict[str, Any], *, model: str, version: str | None) -> commentary_pb2.GenerateRequest:
    """Return the message for a request's JSON object.

    Args:
        document: the object.
        model: model of the path.
        version: version of the path; None pins none.

    Raises:
        ProblemError: 400: a field is unknown, or its value is invalid.
    """
    values = dict(document)
    interleave = values.pop(INTERLEAVE_FIELD, None)
    if interleave is not None and not isinstance(interleave, bool):
        raise _invalid(f"must be true or false, got {type(interleave).__name__}", INTERLEAVE_FIELD)
    if interleave and version is not None:
        raise _invalid("is not possible for one version; leave the version out of the path", INTERLEAVE_FIELD)
    for name in ("model", "version"):
        if name in values:
            raise _invalid("belongs into the path, /v1/models/MODEL/versions/VERSION:generate", name)
    if not set(values) <= set(REQUEST_FIELDS):
        unknown = next(name for name in values if name not in REQUEST_FIELDS)
        known = ", ".join(sorted((*REQUEST_FIELDS, INTERLEAVE_FIELD)))
        raise _invalid(f"unknown field; known fields are {known}", unknown[:60])
    seed = values.get("seed")
    if isinstance(seed, str) and _DECIMAL.fullmatch(seed):
        values["seed"] = int(seed)
    try:
        request = CommentaryRequest.from_mapping({"genres": (), **values})
        return wire.request_to_message(request, model=model, version=version, interleave=bool(interleave))
    except ContractError as fault:
        raise ProblemError.of_status(grpc.StatusCode.INVALID_ARGUMENT, str(fault), field=fault.field) from fault


def message_response(message: Message) -> Response:
    """Return the response that holds a message."""
    document = MessageToDict(message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True)
    content = json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()
    return Response(content, media_type="application/json")


def _invalid(reason: str, field: str) -> ProblemError:
    return ProblemError.of_status(grpc.StatusCode.INVALID_ARGUMENT, f"{field}: {reason}", field=field)
