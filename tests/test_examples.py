"""Examples of property tests, which are the same whatever ran before."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.examples import IS_RANDOM, examples


@pytest.mark.skipif(IS_RANDOM, reason="each run draws new examples")
def test_examples_do_not_depend_on_the_modules_that_are_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[int] = []

    @examples(100)
    @given(st.integers())
    def draw(number: int) -> None:
        drawn.append(number)

    draw()
    before = drawn.copy()
    (tmp_path / "full_of_constants.py").write_text(f"NUMBERS = {[7**40 + number for number in range(500)]}\n")
    monkeypatch.syspath_prepend(tmp_path)
    importlib.import_module("full_of_constants")
    drawn.clear()
    draw()
    assert drawn == before
