from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.corpus.groups import Groups

_RECORDS = st.lists(st.tuples(st.sampled_from([0, 1, 2**32, 2**63, 2**64 - 1]), st.integers(0, 2**64 - 1)), max_size=40)


def _found(grouping: Groups) -> list[list[int]]:
    found = []
    for members, starts in grouping.groups():
        found += [part.tolist() for part in np.split(members, starts[1:])]
    return sorted(found)


def _expected(records: list[tuple[int, int]]) -> list[list[int]]:
    by_key = defaultdict(list)
    for key, member in records:
        by_key[key].append(member)
    return sorted(sorted(members) for members in by_key.values())


def _add(grouping: Groups, records: list[tuple[int, int]]) -> None:
    keys, members = (np.array([record[i] for record in records], dtype=np.uint64) for i in (0, 1))
    grouping.add(keys, members)


@pytest.mark.slow
@given(_RECORDS, _RECORDS)
def test_members_of_a_key_come_together_and_in_order(
    first: list[tuple[int, int]], second: list[tuple[int, int]]
) -> None:
    with TemporaryDirectory() as folder:
        grouping = Groups(Path(folder) / "groups", expected=len(first) + len(second))
        _add(grouping, first)
        _add(grouping, second)
        assert _found(grouping) == _expected(first + second)


def test_groups_are_the_same_whatever_the_number_of_parts_and_the_buffer(tmp_path: Path) -> None:
    random = np.random.default_rng(3)
    keys = random.integers(0, 2**63, size=200, dtype=np.uint64)[random.integers(0, 200, size=1000)] * np.uint64(2)
    records = [(int(key), number) for number, key in enumerate(keys)]
    grouping = Groups(tmp_path / "groups", expected=len(records), part_records=50, buffered=70)
    for start in range(0, len(records), 33):
        _add(grouping, records[start : start + 33])
    assert len(list((tmp_path / "groups").iterdir())) == 20
    assert _found(grouping) == _expected(records)
    assert list((tmp_path / "groups").iterdir()) == []


def test_no_records_give_no_groups(tmp_path: Path) -> None:
    assert list(Groups(tmp_path / "groups", expected=0).groups()) == []
