"""Metadata of the Open Inference Protocol: the gateway, and the tensors of its models."""

from __future__ import annotations

from typing import Final

from serving.oip import open_inference_pb2 as protocol
from serving.oip.answers import OUTPUTS, tensor_of
from serving.oip.requests import INPUTS, LISTS
from serving.oip.tensors import BYTES
from serving.v1 import commentary_pb2

SERVER: Final = "deephypebot"
PLATFORM: Final = "torchserve_mar"
EXTENSIONS: Final = ("parameters",)
"""Extensions of the protocol: a request and an answer have parameters."""
_ANY: Final = -1
"""Size of a dimension that may have any."""


def input_metadata() -> list[protocol.ModelMetadataResponse.TensorMetadata]:
    """Describe the inputs, each of which may be left out."""
    return [
        protocol.ModelMetadataResponse.TensorMetadata(name=name, datatype=BYTES, shape=[_ANY if name in LISTS else 1])
        for name in INPUTS
    ]


def output_metadata() -> list[protocol.ModelMetadataResponse.TensorMetadata]:
    """Describe the outputs, each of any number of samples."""
    empty = commentary_pb2.GenerateResponse()
    tensors = {name: tensor_of(name, empty) for name in OUTPUTS}
    return [
        protocol.ModelMetadataResponse.TensorMetadata(
            name=name, datatype=tensor.datatype, shape=[_ANY] * len(tensor.shape)
        )
        for name, tensor in tensors.items()
    ]
