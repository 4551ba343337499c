import itertools
import math

import numpy as np
import pytest

from experiments.statistics.errors import StatisticsError
from experiments.statistics.shares import log_e_counts, log_e_sequence

HALVES = {"1": 0.5, "2": 0.5}
THREE = {"1": 0.7, "2": 0.2, "3": 0.1}


@pytest.mark.parametrize("shares", [HALVES, THREE, {"1": 0.99, "2": 0.01}])
def test_the_expected_evidence_is_one_under_the_planned_shares(shares: dict[str, float]) -> None:
    total = 0.0
    for versions in itertools.product(shares, repeat=5):
        total += math.prod(shares[version] for version in versions) * math.exp(log_e_sequence(versions, shares)[-1])
    assert total == pytest.approx(1.0)


def test_the_counts_are_all_that_matters() -> None:
    versions = list(np.random.default_rng(5).choice(["1", "2", "3"], size=300, p=[0.6, 0.3, 0.1]))
    counts = {version: versions.count(version) for version in THREE}
    assert log_e_sequence(versions, THREE)[-1] == pytest.approx(log_e_counts(counts, THREE))


def test_a_fault_is_found_and_a_right_ratio_is_not() -> None:
    assert log_e_counts({"1": 4800, "2": 5200}, HALVES) > math.log(20)
    assert log_e_counts({"1": 2500, "2": 2500}, HALVES) < 0
    assert log_e_counts({"1": 60, "2": 0}, HALVES) > math.log(1000)


def test_a_version_without_units_counts_as_zero() -> None:
    assert log_e_counts({"1": 100}, HALVES) == pytest.approx(log_e_counts({"1": 100, "2": 0}, HALVES))


def test_nothing_is_known_without_units_or_with_one_version() -> None:
    assert log_e_counts({}, HALVES) == pytest.approx(0.0)
    assert log_e_counts({"1": 5}, {"1": 1.0}) == 0.0
    assert log_e_sequence([], HALVES).size == 0
    assert list(log_e_sequence(["1", "1"], {"1": 1.0})) == [0.0, 0.0]


@pytest.mark.parametrize(
    ("counts", "shares", "message"),
    [
        ({}, {}, "there are no shares"),
        ({}, {"1": 0.5, "2": 0.4}, "sum of the shares must be 1, got 0.9"),
        ({}, {"1": 0.0, "2": 1.0}, "share of version 1 must be more than 0"),
        ({}, {"1": math.nan, "2": 1.0}, "share of version 1"),
        ({"3": 1}, HALVES, "version 3 has units but no share"),
        ({"1": -1}, HALVES, "at least 0, got -1"),
    ],
)
def test_shares_and_counts_out_of_range_are_refused(
    counts: dict[str, int], shares: dict[str, float], message: str
) -> None:
    with pytest.raises(StatisticsError, match=message):
        log_e_counts(counts, shares)
