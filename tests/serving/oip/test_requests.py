"""Requests of the Open Inference Protocol become requests for samples, checked by the contract alone."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given

from handlers.contract import REQUEST_FIELDS, CommentaryRequest, ContractError
from serving import wire
from serving.oip import open_inference_pb2 as protocol
from serving.oip.requests import INPUTS, LISTS, request_from_message
from serving.v1 import commentary_pb2
from tests.examples import examples
from tests.serving.oip.asking import raw_texts, request
from tests.serving.test_wire import REQUESTS


def read(message: protocol.ModelInferRequest) -> commentary_pb2.GenerateRequest:
    return request_from_message(message, default_model="lcgan")


def fault_of(message: protocol.ModelInferRequest) -> ContractError:
    with pytest.raises(ContractError) as caught:
        read(message)
    return caught.value


@given(asked=REQUESTS)
@examples(50)
def test_every_field_can_be_sent_as_a_tensor_or_a_parameter(asked: CommentaryRequest) -> None:
    values = {name: value for name, value in asked.to_mapping().items() if value is not None}
    tensors = {name: list(values.pop(name)) for name in LISTS}
    message = request(tensors, parameters=values)
    assert wire.request_from_message(read(message)) == asked


@given(asked=REQUESTS)
@examples(50)
def test_every_field_can_be_sent_as_json_in_one_tensor(asked: CommentaryRequest) -> None:
    document = {name: value for name, value in asked.to_mapping().items() if value is not None}
    assert wire.request_from_message(read(request({"request": [json.dumps(document)]}))) == asked


@pytest.mark.parametrize("raw", [True, False], ids=["raw", "contents"])
def test_elements_are_read_from_raw_bytes_and_from_contents(raw: bool) -> None:
    tensors = {"genres": ["dream pop", "é"], "artist": ["Cocteau Twins"], "title": [""]}
    asked = read(request(tensors, raw=raw))
    assert (list(asked.genres), asked.artist, asked.title) == (["dream pop", "é"], "Cocteau Twins", "")


def test_a_tensor_may_have_any_shape_of_its_elements() -> None:
    message = request({"genres": ["pop", "rock"]})
    message.inputs[0].shape[:] = [1, 2]
    assert list(read(message).genres) == ["pop", "rock"]
    message = request({"artist": ["Low"]})
    message.inputs[0].shape[:] = []
    assert read(message).artist == "Low"


def test_a_tensor_may_say_how_many_raw_bytes_it_has_as_kserves_client_does() -> None:
    message = request({"genres": ["pop"]})
    message.inputs[0].parameters["binary_data_size"].int64_param = 7
    assert list(read(message).genres) == ["pop"]


def test_model_version_and_id_are_those_of_the_message() -> None:
    asked = read(request(model="cvae", version="3", request_id="r-1"))
    assert (asked.model, asked.version, asked.request_id) == ("cvae", "3", "r-1")
    assert list(asked.genres) == []
    asked = read(request(model=""))
    assert asked.model == "lcgan"
    assert not asked.HasField("version")
    assert not asked.HasField("request_id")


def test_a_whole_number_is_a_temperature_too() -> None:
    assert read(request(parameters={"temperature": 1})).temperature == 1.0


def test_an_unsigned_number_is_a_seed_too() -> None:
    message = request()
    message.parameters["seed"].uint64_param = 2**63 - 1
    assert read(message).seed == 2**63 - 1
    message.parameters["seed"].uint64_param = 2**64 - 1
    assert fault_of(message).field == "seed"


@pytest.mark.parametrize(
    ("name", "value"),
    [("num_samples", 0), ("num_samples", 10**12), ("temperature", float("nan")), ("top_k", 0.5), ("seed", True)],
)
def test_a_wrong_parameter_is_refused_as_the_same_field_is(name: str, value: Any) -> None:
    with pytest.raises(ContractError) as expected:
        CommentaryRequest.from_mapping({"genres": (), name: value})
    fault = fault_of(request(parameters={name: value}))
    assert (fault.field, str(fault)) == (name, str(expected.value))


def test_an_unknown_parameter_is_refused_as_an_unknown_field_is() -> None:
    fault = fault_of(request(parameters={"max_new_tokens": 3}))
    assert fault.field == "max_new_tokens"
    assert fault.message.endswith(", ".join(sorted(REQUEST_FIELDS)))


def test_a_parameter_without_a_value_is_refused() -> None:
    message = request()
    message.parameters["seed"].SetInParent()
    assert "has no value; set one of" in str(fault_of(message))


@pytest.mark.parametrize("name", LISTS)
def test_a_list_is_not_a_parameter(name: str) -> None:
    assert str(fault_of(request(parameters={name: "pop"}))).startswith(f"{name}: is a list, and a parameter has one")


@pytest.mark.parametrize(
    ("tensors", "field", "reason"),
    [
        ({"prompt": ["a"]}, "prompt", f"is not an input; the inputs are {', '.join(INPUTS)}"),
        ({"seed": ["7"]}, "seed", "send it as a parameter"),
        ({"artist": ["a", "b"]}, "artist", "must hold one element, got 2"),
        ({"artist": []}, "artist", "must hold one element, got 0"),
        ({"genres": [b"\xff"]}, "genres", "must hold text in UTF-8"),
        ({"request": ["{"]}, "request", "must hold JSON"),
        ({"request": ["[" * 100_000]}, "request", "must hold JSON"),
        ({"request": ["[]"]}, "request", "must hold a JSON object, got list"),
        ({"request": ['{"prompt": 1}']}, "prompt", "unknown field"),
        ({"request": ['{"artist": "a"}'], "artist": ["b"]}, "artist", "is given twice"),
        ({"genres": ["x"] * 65}, "genres", "must have a shape of at most 64 elements"),
        ({"genres": ["x" * 201]}, "genres", "must have at most 200 characters"),
        ({"genres": ["NUL \0"]}, "genres", "control characters"),
    ],
)
def test_a_wrong_tensor_is_refused_by_its_name_with_the_way_out(
    tensors: dict[str, list[str | bytes]], field: str, reason: str
) -> None:
    for raw in (True, False):
        fault = fault_of(request(tensors, raw=raw))
        assert fault.field == field
        assert reason in fault.message


def test_a_field_is_given_once() -> None:
    fault = fault_of(request({"artist": ["a"]}, parameters={"artist": "a"}))
    assert str(fault) == "artist: is given twice; give it once, in one tensor or parameter"
    fault = fault_of(request(parameters={"request_id": "a"}, request_id="b"))
    assert fault.field == "request_id"
    message = request({"genres": ["a"]})
    message.inputs.add().CopyFrom(message.inputs[0])
    message.raw_input_contents.append(message.raw_input_contents[0])
    assert str(fault_of(message)) == "genres: is given twice"


def _numbers(message: protocol.ModelInferRequest) -> None:
    message.inputs[0].datatype = "INT32"


def _no_datatype(message: protocol.ModelInferRequest) -> None:
    message.inputs[0].datatype = ""


def _negative(message: protocol.ModelInferRequest) -> None:
    message.inputs[0].shape[:] = [-1, -2]


def _huge(message: protocol.ModelInferRequest) -> None:
    message.inputs[0].shape[:] = [2**62, 2**62]


def _more(message: protocol.ModelInferRequest) -> None:
    message.inputs[0].shape[:] = [3]


def _fewer(message: protocol.ModelInferRequest) -> None:
    message.inputs[0].shape[:] = [1]


def _shared_memory(message: protocol.ModelInferRequest) -> None:
    message.inputs[0].parameters["shared_memory_region"].string_param = "x"


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (_numbers, "must be a tensor of BYTES, got INT32"),
        (_no_datatype, "must be a tensor of BYTES, got no datatype"),
        (_negative, "none negative"),
        (_huge, "at most 64 elements"),
        (_more, "must hold as many elements as its shape [3], got 2"),
        (_fewer, "must hold as many elements as its shape [1], got 2"),
        (_shared_memory, "takes no parameters, got shared_memory_region"),
    ],
)
@pytest.mark.parametrize("raw", [True, False], ids=["raw", "contents"])
def test_a_tensor_of_another_type_or_shape_is_refused(
    damage: Callable[[protocol.ModelInferRequest], None], reason: str, raw: bool
) -> None:
    message = request({"genres": ["pop", "rock"]}, raw=raw)
    damage(message)
    fault = fault_of(message)
    assert fault.field == "genres"
    assert reason in fault.message


@pytest.mark.parametrize(
    "raw",
    [b"\x01", b"\x01\x00\x00\x00", b"\xff\xff\xff\xffab", raw_texts(["pop"]) + b"\x00\x00\x00", b"\x00" * 4_000_000],
)
def test_raw_elements_that_cannot_be_split_are_refused_at_once(raw: bytes) -> None:
    message = request({"genres": ["pop"]})
    message.raw_input_contents[0] = raw
    fault = fault_of(message)
    assert fault.field == "genres"
    assert "end early" in fault.message or "as many elements" in fault.message


def test_elements_are_in_one_place() -> None:
    message = request({"genres": ["pop"]}, raw=False)
    message.raw_input_contents.append(raw_texts(["pop"]))
    assert "give only one of them" in str(fault_of(message))
    message = request({"genres": ["pop"], "artist": ["Low"]})
    del message.raw_input_contents[1]
    assert str(fault_of(message)).startswith("raw_input_contents: must hold the elements of every input or of none")


def test_any_bytes_are_a_request_or_an_error_that_names_a_field() -> None:
    for length in range(12):
        message = request({"genres": ["pop"]})
        message.raw_input_contents[0] = struct.pack("<I", length) + b"a" * 5
        try:
            asked = read(message)
        except ContractError as fault:
            assert fault.field == "genres"  # noqa: PT017 - one of two outcomes
        else:
            assert list(asked.genres) == ["a" * 5]
