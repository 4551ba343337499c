"""Names such as `logits_BV` end in the shape of their array; the module's docstring has to explain each letter.

The legend is a paragraph of entries: "Shapes: B sequences, V tokens, C = Z + A context."
"""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
MODULES = [
    path for package in ("handlers", "training", "benchmarks") for path in sorted((ROOT / package).rglob("*.py"))
]

# `do_POST` and its like are names of http.server, and end in no shape.
NAME = re.compile(r"(?!do_[A-Z]+$)_*[a-z][a-z0-9]*(?:_[a-z0-9]+)*_([A-Z0-9]*[A-Z][A-Z0-9]*)")
LEGEND = re.compile(r"^Shapes: (.+?)(?:\n\n|\Z)", re.MULTILINE | re.DOTALL)
ENTRY = re.compile(r"(?:^|[,;.] |\band )([A-Z]) (?:= |[a-z])")


def letters_of_names(source: str) -> set[str]:
    """Return the letters of all shape suffixes of a module."""
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    suffixes = [found[1] for token in tokens if token.type == tokenize.NAME and (found := NAME.fullmatch(token.string))]
    return {letter for suffix in suffixes for letter in suffix if letter.isalpha()}


def faults(source: str) -> list[str]:
    """Find what is wrong with a module's legend."""
    found = LEGEND.search(ast.get_docstring(ast.parse(source)) or "")
    entries = Counter(ENTRY.findall(" ".join(found[1].split()) if found else ""))
    used = letters_of_names(source)
    # C = Z + A uses Z and A; a docstring may use letters in brackets, as in [B, V].
    mentions = Counter(re.findall(r"\b[A-Z]\b", source))
    mentioned = used | {letter for letter, count in mentions.items() if count > entries[letter]}
    return [
        *(f"{letter} is not explained" for letter in sorted(used - set(entries))),
        *(f"{letter} has {count} meanings" for letter, count in sorted(entries.items()) if count > 1),
        *(f"{letter} is explained and not used" for letter in sorted(set(entries) - mentioned)),
    ]


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_every_letter_of_a_shape_is_explained_once(path: Path) -> None:
    assert faults(path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("x = 1\n", []),
        ("logits_BV = 1\n", ["B is not explained", "V is not explained"]),
        ('"""A module.\n\nShapes: B rows, V tokens.\n"""\nlogits_BV = 1\n', []),
        ('"""A module.\n\nShapes: B rows,\nV tokens, B words.\n"""\nself._logits_BV4 = 1\n', ["B has 2 meanings"]),
        ('"""A module.\n\nShapes: B rows, V tokens.\n"""\nlogits_B = 1\n', ["V is explained and not used"]),
    ],
)
def test_a_fault_is_named(source: str, expected: list[str]) -> None:
    assert faults(source) == expected
