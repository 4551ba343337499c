"""Markdown helpers and docstring readers that the reference pages share."""

from __future__ import annotations

import dataclasses
import inspect
import re
from collections.abc import Iterable, Sequence
from typing import Any

WRITTEN = "<!-- Written by `make docs` from the code; a test compares them. Do not edit. -->"


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Lines of a Markdown table; a vertical bar within a cell is escaped."""
    lines = [header, ["---"] * len(header), *rows]
    return ["| " + " | ".join(_cell(cell) for cell in line) + " |" for line in lines]


def _cell(text: str) -> str:
    return re.sub(r"(?<!\\)\|", r"\\|", " ".join(text.split()))


def first_paragraph(documented: Any) -> str:
    """First paragraph of a docstring."""
    return " ".join((inspect.getdoc(documented) or "").split("\n\n")[0].split())


def default_of(field: dataclasses.Field[Any]) -> str:
    """Default of a dataclass's field as code, or "required"."""
    if field.default is not dataclasses.MISSING:
        return code(field.default)
    if field.default_factory is not dataclasses.MISSING:
        return code(field.default_factory())
    return "required"


def code(value: Any) -> str:
    """A value as code; an enumeration's by its own value, a folder or file as text."""
    shown = getattr(value, "value", value)
    return f"`{shown!r}`" if isinstance(shown, str | int | float | bool | tuple | list | None) else f"`{str(shown)!r}`"


def type_of(annotation: Any) -> str:
    """Name of a type as it is written in the code."""
    shown = annotation if isinstance(annotation, str) else getattr(annotation, "__name__", str(annotation))
    return f"`{re.sub(r'(?:typing|collections.abc|pathlib)[.]', '', shown)}`"
