"""The page of the Python client: its class, requests, answers and errors."""

from __future__ import annotations

import dataclasses
import inspect
import re
from typing import Any, Final

from markdown import default_of, first_paragraph, table, type_of

from foundation.docstrings import attribute_docs
from handlers import contract
from serving import client
from serving.async_client import AsyncCommentaryClient

_SHAPES: Final = ("CommentaryRequest", "SamplingParams", "CommentaryResponse", "Sample", "ModelIdentity", "Timings")

_OPENING: Final = (
    "`serving.client` calls a gateway over gRPC; the extra `client` brings what it needs, `grpcio` and `protobuf`."
)
_ASYNC: Final = (
    "`serving.async_client` has the client for asyncio: `async with AsyncCommentaryClient() as client`. Its methods "
    "are coroutines, and a call whose task is cancelled ends at once. Requests, answers, retries and errors are the "
    "same."
)


def page() -> list[str]:
    """Lines of the page."""
    lines = ["# Client", "", _OPENING, ""]
    lines += [f"## {client.CommentaryClient.__name__}", "", *_docstring(client.CommentaryClient), ""]
    lines += table(["method", "meaning"], _methods(client.CommentaryClient))
    lines += ["", f"## {AsyncCommentaryClient.__name__}", "", *_docstring(AsyncCommentaryClient), "", _ASYNC, ""]
    lines += table(["method", "meaning"], _methods(AsyncCommentaryClient))
    lines += ["", "## Requests and answers", "", "Frozen dataclasses of `handlers.contract`.", ""]
    for name in _SHAPES:
        if (shape := getattr(contract, name, None)) is not None:
            lines += [f"### {name}", "", first_paragraph(shape), "", *_fields(shape), ""]
    return [*lines, "## Errors", "", *table(["error", "base", "meaning"], _errors())]


def _docstring(documented: Any) -> list[str]:
    """A docstring with its sections (Args, Raises) as they stand, in a code block behind the first paragraph."""
    text = inspect.getdoc(documented) or ""
    first, _, rest = text.partition("\n\n")
    return [" ".join(first.split()), "", "```text", *rest.splitlines(), "```"] if rest else [" ".join(first.split())]


def _methods(owner: type) -> list[list[str]]:
    members = inspect.getmembers(owner, inspect.isfunction)
    return [
        [f"`{name}{_signature(method)}`", first_paragraph(method)]
        for name, method in members
        if not name.startswith("_")
    ]


def _signature(method: Any) -> str:
    shown = inspect.signature(method)
    kept = [parameter for parameter in shown.parameters.values() if parameter.name != "self"]
    # Annotations are strings; a default that is an empty string stays.
    return re.sub(r"'([^']+)'", r"\1", str(shown.replace(parameters=kept)))


def _fields(shape: Any) -> list[str]:
    docs = attribute_docs(shape)
    rows = [
        [f"`{field.name}`", type_of(field.type), default_of(field), docs.get(field.name, "")]
        for field in dataclasses.fields(shape)
        if field.init
    ]
    return table(["field", "type", "default", "meaning"], rows)


def _errors() -> list[list[str]]:
    found = [
        each for _, each in inspect.getmembers(client, inspect.isclass) if issubclass(each, client.CommentaryError)
    ]
    found.sort(key=lambda each: (len(each.__mro__), each.__name__))
    bases = [each.__bases__[0].__name__ for each in found]
    return [[f"`{each.__name__}`", f"`{base}`", first_paragraph(each)] for each, base in zip(found, bases, strict=True)]
