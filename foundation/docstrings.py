"""Docstrings of attributes, which Python does not keep: they are read from the source."""

from __future__ import annotations

import ast
import inspect
import textwrap


def attribute_docs(owner: type) -> dict[str, str]:
    """Return the docstring under each attribute of a class and of its bases; none where the source is missing."""
    docs: dict[str, str] = {}
    for base in reversed(owner.__mro__):
        try:
            tree = ast.parse(textwrap.dedent(inspect.getsource(base)))
        except (OSError, TypeError):  # built in
            continue
        (definition,) = (node for node in tree.body if isinstance(node, ast.ClassDef))
        for before, after in zip(definition.body, definition.body[1:], strict=False):
            if (
                isinstance(before, ast.AnnAssign)
                and isinstance(before.target, ast.Name)
                and isinstance(after, ast.Expr)
                and isinstance(after.value, ast.Constant)
                and isinstance(after.value.value, str)
            ):
                docs[before.target.id] = " ".join(after.value.value.split())
    return docs
