"""The benchmark of learning from verdicts."""

from __future__ import annotations

import pytest

from benchmarks.training.curators import CURATORS, check_names
from training.errors import SettingError


def test_an_unknown_curator_is_refused_with_the_names_of_those_that_there_are() -> None:
    check_names(CURATORS)
    with pytest.raises(SettingError, match=r"no simulated curator 'long sentences'; there are region of .*, openings"):
        check_names(["words", "long sentences"])
