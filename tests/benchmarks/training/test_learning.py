"""The benchmark of learning from verdicts."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from benchmarks.training.curators import CURATORS, check_names
from benchmarks.training.learning import Result, summary
from training.errors import SettingError


def _result(curator: str, seed: int, gain: float, *, verdicts: int = 70) -> Result:
    return Result(
        curator=curator, verdicts=verdicts, seed=seed, before=0.4, gain=gain, distinct_2=1.0, copied_before=0.1,
        copied=0.1, ranks_by_both=True, auc=0.8,
    )  # fmt: skip


def _goals_met(*results: Result) -> bool:
    return bool(summary(results)["all tastes, 70 verdicts"]["is_met"])


def test_an_unknown_curator_is_refused_with_the_names_of_those_that_there_are() -> None:
    check_names(CURATORS)
    with pytest.raises(SettingError, match=r"no simulated curator 'long sentences'; there are region of .*, openings"):
        check_names(["words", "long sentences"])


def test_a_curators_interval_is_over_seeds_and_that_of_all_over_both() -> None:
    results = [_result("words", 0, 0.1), _result("words", 1, 0.3), _result("openings", 0, 0.4)]
    found = summary(results)
    assert found["words, 70 verdicts"]["gain"] == pytest.approx(0.2)
    assert math.isnan(found["openings, 70 verdicts"]["gain_low"]), "one seed has no interval"
    row = found["all tastes, 70 verdicts"]
    over_runs = 4.302653 * 0.152753 / math.sqrt(3)
    assert (row["gain"], row["gain_low"]) == (pytest.approx(0.8 / 3), pytest.approx(0.8 / 3 - over_runs, abs=1e-5))
    assert row["tastes_low"] == pytest.approx(0.3 - 12.706205 * 0.2 / 2)
    assert row["runs"] == 3
    assert not row["is_met"], "the interval holds 0"


def test_a_goal_is_met_by_gain_and_interval_and_limits_together() -> None:
    good = [_result("words", 0, 0.10), _result("openings", 0, 0.11)]
    assert _goals_met(*good)
    assert not _goals_met(*(replace(each, gain=each.gain - 0.03) for each in good))
    assert not _goals_met(*(replace(each, distinct_2=0.97) for each in good))
    assert not _goals_met(*(replace(each, copied=0.13) for each in good))


def test_where_nothing_was_learned_nothing_is_gained_and_it_counts() -> None:
    refused = Result(curator="words", verdicts=70, seed=1, refused="no", before=0.4, copied_before=0.1, copied=0.1)
    row = summary([_result("words", 0, 0.2), refused])["words, 70 verdicts"]
    assert (row["runs"], row["refused"], row["gain"]) == (2, 1, pytest.approx(0.1))
