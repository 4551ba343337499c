"""Assignment of units to versions by hash: GrowthBook's hash, bucket ranges, variations and namespaces (spec 0.7.1).

A unit is a text that names who or what asks, such as an account. The hash is FNV-1a with 32 bits over UTF-16 code
units. Its second form, which deals units out, hashes the decimal digits of the first hash once more, because the last
digits of a single FNV-1a are far from even for texts that differ in their last character alone:

    bucket(salt, unit) = fnv1a32(str(fnv1a32(salt + unit))) mod 10,000 / 10,000

All functions are pure, and are those of GrowthBook's programs in any language: an analysis elsewhere finds the version
of a unit from the salt and the shares alone.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Final, TypeAlias

Range: TypeAlias = tuple[float, float]
"""Buckets of an arm: from the first number on, to below the second."""

FNV_START: Final = 0x811C9DC5
_FNV_PRIME: Final = 0x01000193
_MASK: Final = 0xFFFFFFFF
NUM_BUCKETS: Final = 10_000
_NUM_NAMESPACE_BUCKETS: Final = 1_000
_EVEN_HASH: Final = 2
_ROUNDING: Final = 0.01
"""Distance from 1 up to which a sum of weights counts as 1."""


def fnv1a32(text: str, start: int = FNV_START) -> int:
    """Return the FNV-1a hash of a text, from 0 to 2**32 - 1.

    Args:
        text: text, hashed by its UTF-16 code units, as in JavaScript.
        start: hash of the text before it: `fnv1a32(a + b)` is `fnv1a32(b, fnv1a32(a))`.
    """
    if text.isascii():
        units: Sequence[int] = text.encode()
    else:
        encoded = text.encode("utf-16-le", "surrogatepass")
        units = struct.unpack(f"<{len(encoded) // 2}H", encoded)
    value = start
    for unit in units:
        value = ((value ^ unit) * _FNV_PRIME) & _MASK
    return value


def bucket_after(salted: int, unit: str) -> float:
    """Return the bucket of a unit, from 0 to 0.9999, where the salt is hashed already.

    Args:
        salted: `fnv1a32` of the salt.
        unit: the unit.
    """
    return fnv1a32(str(fnv1a32(unit, salted))) % NUM_BUCKETS / NUM_BUCKETS


def unit_hash(salt: str, unit: str, version: int = _EVEN_HASH) -> float | None:
    """Return the hash of a unit, from 0 to below 1; None for a version of the hash that does not exist.

    Args:
        salt: text that makes one experiment independent of another.
        unit: the unit.
        version: 2 for the even hash with 10,000 buckets, 1 for the earlier one with 1,000.
    """
    if version == _EVEN_HASH:
        return bucket_after(fnv1a32(salt), unit)
    if version == 1:
        return fnv1a32(unit + salt) % _NUM_NAMESPACE_BUCKETS / _NUM_NAMESPACE_BUCKETS
    return None


def in_namespace(unit: str, namespace: tuple[str, float, float]) -> bool:
    """Return whether a unit is in a namespace: a name, and the range of hashes that belong to it.

    Experiments that must not meet share a name and have ranges that do not overlap.
    """
    name, start, end = namespace
    hashed = unit_hash(f"__{name}", unit, 1)
    return hashed is not None and start <= hashed < end


def bucket_ranges(num_arms: int, coverage: float = 1.0, weights: Sequence[float] | None = None) -> tuple[Range, ...]:
    """Return the ranges of the arms, one after the other.

    Args:
        num_arms: number of arms.
        coverage: share of each arm's range that takes part, from 0 to 1; the arm keeps the start of its range.
        weights: share of each arm; even shares if there are none, too many or too few, or if their sum is not 1.
    """
    if weights is None or len(weights) != num_arms or abs(sum(weights) - 1) > _ROUNDING:
        weights = [1 / num_arms] * num_arms if num_arms else []
    covered = min(max(coverage, 0.0), 1.0)
    ranges: list[Range] = []
    start = 0.0
    for weight in weights:
        ranges.append((start, start + covered * weight))
        start += weight
    return tuple(ranges)


def choose_variation(hashed: float, ranges: Sequence[Range]) -> int:
    """Return the index of the range that holds a hash; -1 if none does."""
    for index, (start, end) in enumerate(ranges):
        if start <= hashed < end:
            return index
    return -1
