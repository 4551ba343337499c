from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.traffic.assignment import (
    bucket_after,
    bucket_ranges,
    choose_variation,
    fnv1a32,
    in_namespace,
    unit_hash,
)

CASES: Final[dict[str, Any]] = json.loads((Path(__file__).parent / "growthbook_cases.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize(("seed", "value", "version", "expected"), CASES["hash"])
def test_the_hash_is_growthbooks(seed: str, value: str, version: int, expected: float | None) -> None:
    assert unit_hash(seed, value, version) == expected


@pytest.mark.parametrize(("name", "arguments", "expected"), CASES["getBucketRange"])
def test_the_ranges_are_growthbooks(name: str, arguments: list[Any], expected: list[list[float]]) -> None:
    found = bucket_ranges(*arguments)
    assert [[round(end, 6) for end in each] for each in found] == expected, name


@pytest.mark.parametrize(("name", "hashed", "ranges", "expected"), CASES["chooseVariation"])
def test_the_choice_is_growthbooks(name: str, hashed: float, ranges: list[tuple[float, float]], expected: int) -> None:
    assert choose_variation(hashed, ranges) == expected, name


@pytest.mark.parametrize(("name", "unit", "namespace", "expected"), CASES["inNamespace"])
def test_namespaces_are_growthbooks(name: str, unit: str, namespace: list[Any], expected: bool) -> None:
    assert in_namespace(unit, (namespace[0], namespace[1], namespace[2])) is expected, name


def test_no_published_case_is_missing() -> None:
    assert {name: len(cases) for name, cases in CASES.items() if isinstance(cases, list)} == {
        "hash": 15,
        "getBucketRange": 13,
        "chooseVariation": 13,
        "inNamespace": 16,
    }


def slow_fnv1a32(text: str) -> int:
    """Hash by the definition: the code units as JavaScript sees them, one after the other."""
    value = 2166136261
    for character in text:
        point = ord(character)
        high, low = 0xD800 + ((point - 0x10000) >> 10), 0xDC00 + ((point - 0x10000) & 0x3FF)
        for unit in [point] if point < 0x10000 else [high, low]:
            value = (value ^ unit) * 16777619 % 2**32
    return value


@given(st.text(st.characters(codec="utf-8")), st.text(st.characters(codec="utf-8")))
def test_any_text_is_hashed_by_its_utf16_code_units_and_in_two_parts_as_in_one(salt: str, unit: str) -> None:
    assert fnv1a32(salt + unit) == slow_fnv1a32(salt + unit)
    assert fnv1a32(unit, fnv1a32(salt)) == fnv1a32(salt + unit)
    assert bucket_after(fnv1a32(salt), unit) == unit_hash(salt, unit)
