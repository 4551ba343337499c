"""Answers as outputs of the Open Inference Protocol: one tensor for each property of the samples.

What holds for the answer as a whole is among its parameters: the archive's hash, the key of the exposure, the times.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

from serving.oip import open_inference_pb2 as protocol
from serving.oip.tensors import BYTES, FP64, INT32, INT64, Element, Tensor, check_parameters, invalid
from serving.v1 import commentary_pb2

_Make = Callable[[commentary_pb2.GenerateResponse], Tensor]


def _each(datatype: str, value: Callable[[commentary_pb2.Sample], Element]) -> _Make:
    """Return a function that makes a tensor [n] of one property of n samples."""
    return lambda answer: _vector(datatype, [value(sample) for sample in answer.samples])


def _topics(answer: commentary_pb2.GenerateResponse) -> Tensor:
    """Share of each topic in each sample: [n, topics]."""
    rows = [sample.topics for sample in answer.samples]
    elements = [share for row in rows for share in row]
    return Tensor(datatype=FP64, shape=(len(rows), len(rows[0]) if rows else 0), elements=elements)


def _vector(datatype: str, elements: Sequence[Element]) -> Tensor:
    return Tensor(datatype=datatype, shape=(len(elements),), elements=elements)


_MAKERS: Final[Mapping[str, _Make]] = {
    "text": _each(BYTES, lambda sample: sample.text),
    "token_count": _each(INT32, lambda sample: sample.token_count),
    "log_prob": _each(FP64, lambda sample: sample.log_prob),
    "topics": _topics,
    "seed": _each(INT64, lambda sample: sample.seed),
    "finish_reason": _each(BYTES, lambda sample: sample.finish_reason),
    # Not a number where the request does not rank by it: a tensor has an element for each sample.
    "value": _each(FP64, lambda sample: sample.value if sample.HasField("value") else math.nan),
    "genres_used": lambda answer: _vector(BYTES, answer.genres_used),
    "genres_unknown": lambda answer: _vector(BYTES, answer.genres_unknown),
}
OUTPUTS: Final = tuple(_MAKERS)
"""Names of the outputs, in their order."""


def tensor_of(output: str, answer: commentary_pb2.GenerateResponse) -> Tensor:
    """Return one output of an answer."""
    return _MAKERS[output](answer)


def wanted_outputs(message: protocol.ModelInferRequest) -> tuple[str, ...]:
    """Return the names of the outputs that a request wants: those that it names, or all.

    Raises:
        ContractError: INVALID_ARGUMENT, naming the output that does not exist, is named twice or has parameters.
    """
    names = tuple(output.name for output in message.outputs)
    for output in message.outputs:
        if output.name not in _MAKERS:
            raise invalid(output.name, f"is not an output; the outputs are {', '.join(OUTPUTS)}")
        if names.count(output.name) > 1:
            raise invalid(output.name, "is wanted twice")
        check_parameters(output.name, output.parameters)
    return names or OUTPUTS


def singly(answer: commentary_pb2.GenerateResponse) -> list[commentary_pb2.GenerateResponse]:
    """Return an answer with each of its samples alone."""
    answers = []
    for sample in answer.samples:
        alone = commentary_pb2.GenerateResponse()
        alone.CopyFrom(answer)
        del alone.samples[:]
        alone.samples.append(sample)
        answers.append(alone)
    return answers


def answer_to_message(answer: commentary_pb2.GenerateResponse, outputs: Iterable[str]) -> protocol.ModelInferResponse:
    """Encode the answer of one version.

    Args:
        answer: the answer.
        outputs: names of the wanted outputs, in their order.
    """
    tensors = {name: tensor_of(name, answer) for name in outputs}
    message = protocol.ModelInferResponse(
        model_name=answer.model.name,
        model_version=answer.model.version,
        id=answer.request_id,
        outputs=[
            protocol.ModelInferResponse.InferOutputTensor(name=name, datatype=tensor.datatype, shape=tensor.shape)
            for name, tensor in tensors.items()
        ],
        raw_output_contents=[tensor.raw for tensor in tensors.values()],
    )
    parameters = message.parameters
    parameters["archive_sha256"].string_param = answer.model.archive_sha256
    parameters["queue_ms"].double_param = answer.timings.queue_ms
    parameters["decode_ms"].double_param = answer.timings.decode_ms
    parameters["exposure_id"].string_param = "".join(arm.exposure_id for arm in answer.arms)
    parameters["experiment"].string_param = answer.experiment
    return message
