"""Tensors of the Open Inference Protocol: their elements in raw bytes, and those of the inputs read.

Numbers are little-endian, in the order of the last dimension first. An element of BYTES follows its length, four bytes.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from handlers.contract import MAX_BAD_WORDS, MAX_GENRES, ContractError, ErrorCode
from serving.oip import open_inference_pb2 as protocol

BYTES: Final = "BYTES"
INT32: Final = "INT32"
INT64: Final = "INT64"
FP64: Final = "FP64"
Element = str | int | float
_FORMATS: Final = {INT32: "i", INT64: "q", FP64: "d"}
_LENGTH: Final = struct.Struct("<I")
_OF_RAW_DATA: Final = frozenset({"binary_data", "binary_data_size"})
"""Parameters of tensors that KServe's client sends with raw elements."""
_MAX_ELEMENTS: Final = max(MAX_GENRES, MAX_BAD_WORDS)
"""No input holds more elements; the contract checks each of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tensor:
    """Elements of one output."""

    datatype: str
    shape: tuple[int, ...]
    elements: Sequence[Element]
    """Elements in row-major order: texts for BYTES, otherwise numbers."""

    @property
    def raw(self) -> bytes:
        """Elements as they are sent.

        >>> Tensor(datatype="BYTES", shape=(1,), elements=["ab"]).raw.hex()
        '020000006162'
        """
        if self.datatype == BYTES:
            return b"".join(_with_length(str(element).encode()) for element in self.elements)
        return struct.pack(f"<{len(self.elements)}{_FORMATS[self.datatype]}", *self.elements)


def texts_of_inputs(message: protocol.ModelInferRequest) -> dict[str, list[str]]:
    """Return the elements of a request's tensors by their names; all are of BYTES, in UTF-8.

    Raises:
        ContractError: INVALID_ARGUMENT, naming the tensor whose type, shape or elements are wrong.
    """
    raw = message.raw_input_contents
    if raw and len(raw) != len(message.inputs):
        reason = f"must hold the elements of every input or of none, got {len(raw)} for {len(message.inputs)} inputs"
        raise invalid("raw_input_contents", reason)
    found: dict[str, list[str]] = {}
    for place, tensor in enumerate(message.inputs):
        if tensor.name in found:
            raise invalid(tensor.name, "is given twice")
        found[tensor.name] = _texts(tensor, raw[place] if raw else None)
    return found


def check_parameters(name: str, parameters: Iterable[str]) -> None:
    """Check that a tensor has no parameters but those of the extension for raw data, which say nothing new over gRPC.

    Raises:
        ContractError: INVALID_ARGUMENT, naming the tensor.
    """
    if unknown := sorted(set(parameters) - _OF_RAW_DATA):
        raise invalid(name, f"takes no parameters, got {', '.join(unknown)}; elements are sent in the message itself")


def invalid(field: str, reason: str) -> ContractError:
    """Return the error of a tensor, parameter or field that is not valid."""
    return ContractError(ErrorCode.INVALID_ARGUMENT, field, reason)


def _texts(tensor: protocol.ModelInferRequest.InferInputTensor, raw: bytes | None) -> list[str]:
    """Return the elements of one tensor, from its contents or from raw bytes."""
    name = tensor.name
    check_parameters(name, tensor.parameters)
    if tensor.datatype != BYTES:
        raise invalid(name, f"must be a tensor of BYTES, got {tensor.datatype or 'no datatype'}")
    count = math.prod(tensor.shape)
    if min(tensor.shape, default=0) < 0 or count > _MAX_ELEMENTS:
        shape = list(tensor.shape)
        raise invalid(name, f"must have a shape of at most {_MAX_ELEMENTS} elements, none negative, got {shape}")
    if raw is None:
        elements = list(tensor.contents.bytes_contents)
    elif tensor.HasField("contents"):
        raise invalid(name, "has elements both in its contents and in raw_input_contents; give only one of them")
    else:
        elements = list(_split(name, raw))
    if len(elements) != count:
        raise invalid(name, f"must hold as many elements as its shape {list(tensor.shape)}, got {len(elements)}")
    try:
        return [element.decode() for element in elements]
    except UnicodeDecodeError as cause:
        raise invalid(name, f"must hold text in UTF-8: {cause}") from cause


def _split(name: str, raw: bytes) -> Iterator[bytes]:
    """Split raw elements of BYTES; one more than any shape may have is enough to refuse them."""
    start = 0
    for _ in range(_MAX_ELEMENTS + 1):
        if start == len(raw):
            return
        end = start + _LENGTH.size
        length = _LENGTH.unpack_from(raw, start)[0] if end <= len(raw) else math.inf
        if end + length > len(raw):
            raise invalid(name, f"has raw elements that end early, after {len(raw)} bytes; each follows its length")
        start = end + int(length)
        yield raw[end:start]


def _with_length(element: bytes) -> bytes:
    return _LENGTH.pack(len(element)) + element
