"""Requests and answers of the Open Inference Protocol, written and read as its clients do."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from typing import Any

from serving.oip import open_inference_pb2 as protocol

_FORMATS = {"INT32": ("i", 4), "INT64": ("q", 8), "FP64": ("d", 8)}


def raw_texts(texts: Sequence[str | bytes]) -> bytes:
    encoded = [text if isinstance(text, bytes) else text.encode() for text in texts]
    return b"".join(struct.pack("<I", len(each)) + each for each in encoded)


def request(
    tensors: Mapping[str, Sequence[str | bytes]] | None = None,
    *,
    raw: bool = True,
    parameters: dict[str, Any] | None = None,
    outputs: Sequence[str] = (),
    model: str = "lcgan",
    version: str = "",
    request_id: str = "",
) -> protocol.ModelInferRequest:
    """A request as tritonclient makes it (raw), or as KServe's client does."""
    message = protocol.ModelInferRequest(model_name=model, model_version=version, id=request_id)
    for name, texts in (tensors or {}).items():
        tensor = message.inputs.add(name=name, datatype="BYTES", shape=[len(texts)])
        if raw:
            message.raw_input_contents.append(raw_texts(texts))
        else:
            encoded = [text if isinstance(text, bytes) else text.encode() for text in texts]
            tensor.contents.bytes_contents.extend(encoded)
    for name, value in (parameters or {}).items():
        kinds = {bool: "bool_param", int: "int64_param", float: "double_param", str: "string_param"}
        kind = next(kind for of, kind in kinds.items() if isinstance(value, of))
        setattr(message.parameters[name], kind, value)
    for name in outputs:
        message.outputs.add(name=name)
    return message


def outputs_of(message: protocol.ModelInferResponse) -> dict[str, tuple[list[int], list[Any]]]:
    """Shape and elements of each output."""
    assert len(message.outputs) == len(message.raw_output_contents)
    return {
        output.name: (list(output.shape), _elements(output.datatype, raw))
        for output, raw in zip(message.outputs, message.raw_output_contents, strict=True)
    }


def _elements(datatype: str, raw: bytes) -> list[Any]:
    if datatype == "BYTES":
        texts, start = [], 0
        while start < len(raw):
            (length,) = struct.unpack_from("<I", raw, start)
            texts.append(raw[start + 4 : start + 4 + length].decode())
            start += 4 + length
        return texts
    letter, size = _FORMATS[datatype]
    return list(struct.unpack(f"<{len(raw) // size}{letter}", raw))


def parameters_of(message: protocol.ModelInferResponse) -> dict[str, Any]:
    return {
        name: getattr(value, value.WhichOneof("parameter_choice") or "") for name, value in message.parameters.items()
    }
