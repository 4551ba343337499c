"""Requests of the Open Inference Protocol, as requests for samples.

    tensors      genres, bad_words: BYTES [n]; artist, title: BYTES [1]; request: BYTES [1], a JSON object of fields
    parameters   every other field of a request (`handlers.contract.REQUEST_FIELDS`), by its name
    id           request_id

Fields are checked by `handlers.contract` alone, so an error names the tensor or parameter as it names a field.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from handlers.contract import REQUEST_FIELDS, CommentaryRequest
from serving import wire
from serving.oip import open_inference_pb2 as protocol
from serving.oip.tensors import invalid, texts_of_inputs
from serving.v1 import commentary_pb2

REQUEST_TENSOR: Final = "request"
LISTS: Final = ("genres", "bad_words")
"""Fields that are tensors of any length, and not parameters."""
SINGLE: Final = ("artist", "title", REQUEST_TENSOR)
"""Tensors of one element."""
INPUTS: Final = (*LISTS, *SINGLE)


def request_from_message(message: protocol.ModelInferRequest, *, default_model: str) -> commentary_pb2.GenerateRequest:
    """Decode and check a request.

    Args:
        message: the request.
        default_model: model of a request that names none.

    Raises:
        ContractError: INVALID_ARGUMENT, naming the tensor, parameter or field at fault.
    """
    values = _values(texts_of_inputs(message))
    for name, value in message.parameters.items():
        if name in LISTS:
            raise invalid(name, "is a list, and a parameter has one value; send it as a tensor of BYTES")
        _add(values, name, _value(name, value))
    if message.id:
        _add(values, "request_id", message.id)
    request = CommentaryRequest.from_mapping({"genres": (), **values})
    version = message.model_version or None
    return wire.request_to_message(request, model=message.model_name or default_model, version=version)


def _values(tensors: Mapping[str, list[str]]) -> dict[str, Any]:
    """Return the fields that tensors hold."""
    values: dict[str, Any] = {}
    for name, elements in tensors.items():
        if name in LISTS:
            _add(values, name, elements)
        elif name not in SINGLE:
            hint = "; send it as a parameter" if name in REQUEST_FIELDS else ""
            raise invalid(name, f"is not an input; the inputs are {', '.join(INPUTS)}{hint}")
        elif len(elements) != 1:
            raise invalid(name, f"must hold one element, got {len(elements)}")
        elif name == REQUEST_TENSOR:
            for field, value in _object(elements[0]).items():
                _add(values, field, value)
        else:
            _add(values, name, elements[0])
    return values


def _add(values: dict[str, Any], name: str, value: Any) -> None:
    if name in values:
        raise invalid(name, "is given twice; give it once, in one tensor or parameter")
    values[name] = value


def _object(text: str) -> dict[str, Any]:
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as cause:
        raise invalid(REQUEST_TENSOR, f"must hold JSON: {cause}") from cause
    if not isinstance(document, dict):
        raise invalid(REQUEST_TENSOR, f"must hold a JSON object, got {type(document).__name__}")
    return document


def _value(name: str, parameter: protocol.InferParameter) -> bool | int | float | str:
    choice = parameter.WhichOneof("parameter_choice")
    if choice is None:
        raise invalid(name, "has no value; set one of bool_param, int64_param, double_param and string_param")
    value: bool | int | float | str = getattr(parameter, choice)
    return value
