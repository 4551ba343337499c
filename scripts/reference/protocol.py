"""The page of the gRPC protocol: services and messages of the proto, with its comments."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Final

from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    FieldDescriptorProto,
    FileDescriptorProto,
    FileDescriptorSet,
    ServiceDescriptorProto,
)
from grpc_tools import protoc
from markdown import table

ROOT: Final = Path(__file__).resolve().parents[2]
PROTO: Final = "serving/v1/commentary.proto"
_MESSAGE, _FIELD, _SERVICE, _METHOD = 4, 2, 6, 2
"""Numbers of the fields of FileDescriptorProto, DescriptorProto and ServiceDescriptorProto that make a path."""


def page() -> list[str]:
    """Lines of the page."""
    file = _parsed()
    comments = {tuple(each.path): _text(each.leading_comments) for each in file.source_code_info.location}
    lines = [
        "# Protocol",
        "",
        f"The gateway's gRPC service, package `{file.package}`, from `{PROTO}`. Health checking",
        "",
    ]
    lines[-2] += " (`grpc.health.v1`), server reflection and the"
    lines[-2] += " [Open Inference Protocol](../guides/serving.md#open-inference-protocol) are served beside it."
    for number, service in enumerate(file.service):
        lines += _service(service, number, comments)
    for number, message in enumerate(file.message_type):
        lines += _message(message, number, comments)
    return lines


def _parsed() -> FileDescriptorProto:
    with tempfile.TemporaryDirectory() as scratch:
        out = Path(scratch, "set")
        arguments = ["protoc", f"-I{ROOT}", f"--descriptor_set_out={out}", "--include_source_info", PROTO]
        if protoc.main(arguments) != 0:
            raise RuntimeError(f"protoc failed on {PROTO}")
        (file,) = FileDescriptorSet.FromString(out.read_bytes()).file
    return file


def _service(service: ServiceDescriptorProto, number: int, comments: dict[tuple[int, ...], str]) -> list[str]:
    lines = [f"## {service.name}", ""]
    rows = [
        [f"`{method.name}`", f"`{_short(method.input_type)}`", f"`{_short(method.output_type)}`",
         comments.get((_SERVICE, number, _METHOD, place), "")]
        for place, method in enumerate(service.method)
    ]  # fmt: skip
    return [*lines, *table(["method", "request", "response", "meaning"], rows), ""]


def _message(message: DescriptorProto, number: int, comments: dict[tuple[int, ...], str]) -> list[str]:
    lines = [f"### {message.name}", ""]
    if comment := comments.get((_MESSAGE, number)):
        lines += [comment, ""]
    rows = [
        [str(field.number), f"`{field.name}`", f"`{_type(field)}`", comments.get((_MESSAGE, number, _FIELD, place), "")]
        for place, field in enumerate(message.field)
    ]
    if message.reserved_range:
        taken = ", ".join(str(each.start) for each in message.reserved_range)
        rows.append([taken, "", "", "Reserved."])
    return [*lines, *table(["number", "field", "type", "meaning"], rows), ""]


def _type(field: FieldDescriptorProto) -> str:
    name = _short(field.type_name) or FieldDescriptorProto.Type.Name(field.type).removeprefix("TYPE_").lower()
    if field.label == FieldDescriptorProto.LABEL_REPEATED:
        return f"repeated {name}"
    return f"optional {name}" if field.proto3_optional else name


def _short(name: str) -> str:
    return name.rpartition(".")[2]


def _text(comment: str) -> str:
    return " ".join(comment.split())
