"""A reader of queries in PromQL, and the metrics that they may name."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import promql_parser

REFERENCE = Path(__file__).resolve().parents[2] / "docs" / "reference" / "metrics.md"
OF_PROMETHEUS = {"up": {"job"}}
"""Metrics that Prometheus makes itself."""
SUFFIXES = {"histogram": ("_bucket", "_sum", "_count"), "info": ("_info",)}


def metrics() -> dict[str, set[str]]:
    """Labels of each series, by its name, of the reference page, which a test compares with the code."""
    found: dict[str, set[str]] = dict(OF_PROMETHEUS)
    for name, kind, labels in re.findall(r"^\| `(\w+)` \| (\w+) \| ([^|]*) \|", REFERENCE.read_text(), re.MULTILINE):
        known = set(re.findall(r"`(\w+)`", labels))
        for suffix in SUFFIXES.get(kind, ("",)):
            ending = "" if suffix == "_info" and name.endswith("_info") else suffix
            found[f"{name}{ending}"] = known | ({"le"} if suffix == "_bucket" else set())
    return found


class Reader:
    """Reader of one query: its series with the labels that are asked of them, and those that it groups by."""

    def __init__(self, query: str) -> None:
        self.series: list[tuple[str, set[str]]] = []
        self.grouped: set[str] = set()
        self._read(promql_parser.parse(query))

    def _read(self, node: Any) -> None:
        match node:
            case promql_parser.VectorSelector():
                self.series.append((node.name or "", {each.name for each in node.matchers.matchers}))
            case promql_parser.MatrixSelector():
                self._read(node.vector_selector)
            case promql_parser.AggregateExpr():
                self.grouped |= set(node.modifier.labels) if node.modifier is not None else set()
                self._read(node.expr)
            case promql_parser.BinaryExpr():
                self._read(node.lhs)
                self._read(node.rhs)
            case promql_parser.Call():
                for argument in node.args:
                    self._read(argument)
            case promql_parser.ParenExpr() | promql_parser.UnaryExpr() | promql_parser.SubqueryExpr():
                self._read(node.expr)
            case promql_parser.NumberLiteral() | promql_parser.StringLiteral():
                pass
            case _:
                raise AssertionError(f"a kind of node that this reader does not know: {node!r}")
