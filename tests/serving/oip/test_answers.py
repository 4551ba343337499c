"""Outputs of the Open Inference Protocol hold what the answer holds, and only what was asked for."""

from __future__ import annotations

import math

import pytest
from hypothesis import given

from handlers.contract import CommentaryResponse, ContractError, Sample
from serving import wire
from serving.oip.answers import OUTPUTS, answer_to_message, wanted_outputs
from serving.v1 import commentary_pb2
from tests.examples import examples
from tests.serving.oip.asking import outputs_of, parameters_of, request
from tests.serving.test_wire import RESPONSES

SAMPLES = commentary_pb2.GenerateResponse(
    samples=[
        commentary_pb2.Sample(text="a é", token_count=3, log_prob=-1.5, topics=[0.25, 0.75], seed=2**63 - 1, value=0.5),
        commentary_pb2.Sample(
            text="", token_count=1, log_prob=-9, topics=[1, 0], seed=0, finish_reason="stop", value=0.25
        ),
    ],
    model=commentary_pb2.ModelVersion(name="lcgan", version="2", archive_sha256="ab"),
    genres_used=["pop"],
    timings=commentary_pb2.Timings(queue_ms=1.5, decode_ms=20),
    request_id="r",
    arms=[commentary_pb2.ArmAnswer(exposure_id="e-1")],
    experiment="blind",
)


def test_each_property_of_the_samples_is_a_tensor() -> None:
    message = answer_to_message(SAMPLES, OUTPUTS)
    assert outputs_of(message) == {
        "text": ([2], ["a é", ""]),
        "token_count": ([2], [3, 1]),
        "log_prob": ([2], [-1.5, -9.0]),
        "topics": ([2, 2], [0.25, 0.75, 1.0, 0.0]),
        "seed": ([2], [2**63 - 1, 0]),
        "finish_reason": ([2], ["", "stop"]),
        "value": ([2], [0.5, 0.25]),
        "genres_used": ([1], ["pop"]),
        "genres_unknown": ([0], []),
    }
    assert (message.model_name, message.model_version, message.id) == ("lcgan", "2", "r")
    assert parameters_of(message) == {
        "archive_sha256": "ab",
        "queue_ms": 1.5,
        "decode_ms": 20.0,
        "exposure_id": "e-1",
        "experiment": "blind",
    }


def test_a_sample_without_a_value_has_an_element_that_is_not_a_number() -> None:
    answer = commentary_pb2.GenerateResponse(samples=[commentary_pb2.Sample(text="a")])
    ((shape, (element,)),) = outputs_of(answer_to_message(answer, ["value"])).values()
    assert shape == [1]
    assert math.isnan(element)


def test_every_property_of_a_sample_is_an_output() -> None:
    assert set(Sample.__dataclass_fields__) <= set(OUTPUTS)


@given(answer=RESPONSES)
@examples(50)
def test_outputs_of_any_answer_can_be_read(answer: CommentaryResponse) -> None:
    width = min((len(sample.topics) for sample in answer.samples), default=0)
    message = wire.response_to_message(answer)
    for sample in message.samples:
        del sample.topics[width:]
    found = outputs_of(answer_to_message(message, OUTPUTS))
    assert found["text"][1] == [sample.text for sample in answer.samples]
    assert found["log_prob"][1] == [sample.log_prob for sample in answer.samples]
    assert found["topics"][0] == [len(answer.samples), width]


def test_only_wanted_outputs_are_returned_in_their_order() -> None:
    wanted = wanted_outputs(request(outputs=["seed", "text"]))
    assert list(outputs_of(answer_to_message(SAMPLES, wanted))) == ["seed", "text"]
    assert wanted_outputs(request()) == OUTPUTS


def test_an_output_that_cannot_be_had_is_refused_by_its_name() -> None:
    for outputs, reason in (
        (["logits"], f"logits: is not an output; the outputs are {', '.join(OUTPUTS)}"),
        (["text", "text"], "text: is wanted twice"),
    ):
        with pytest.raises(ContractError) as caught:
            wanted_outputs(request(outputs=outputs))
        assert str(caught.value) == reason
    message = request(outputs=["text"])
    message.outputs[0].parameters["classification"].int64_param = 3
    with pytest.raises(ContractError, match="text: takes no parameters, got classification"):
        wanted_outputs(message)
