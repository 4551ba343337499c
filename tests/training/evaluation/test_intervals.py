from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from tests.examples import examples
from training.evaluation.intervals import Resampler, auc, groups, jackknife
from training.evaluation.words import FloatArray

numbers = st.lists(st.integers(-3, 3).map(float), min_size=1, max_size=30)


def test_the_interval_of_a_mean_is_the_textbook_s() -> None:
    generator = np.random.default_rng(1)
    sets: list[FloatArray] = [5 + 2 * generator.standard_normal(4000) for _ in range(3)]
    figure = Resampler().ratio(sets)
    standard_error = np.std(np.concatenate(sets)) / math.sqrt(12_000)
    assert figure.value == pytest.approx(np.mean(sets))
    assert figure.per_seed == pytest.approx([each.mean() for each in sets])
    assert figure.high - figure.value == pytest.approx(1.96 * standard_error, rel=0.15)
    assert figure.value - figure.low == pytest.approx(1.96 * standard_error, rel=0.15)


def test_intervals_hold_the_truth_about_as_often_as_they_say() -> None:
    generator = np.random.default_rng(2)
    held = 0
    for number in range(150):
        above, below = generator.poisson(6, 200).astype(float), generator.poisson(3, 200).astype(float) + 1
        figure = Resampler(replicates=200, seed=number).ratio([above], [below])
        held += figure.low <= 6 / 4 <= figure.high
    assert 0.87 < held / 150 <= 1


def test_a_ratio_weighs_samples_by_their_denominator_and_takes_the_transform() -> None:
    figure = Resampler(replicates=50).ratio([np.array([1.0, 0.0])], [np.array([3.0, 1.0])], np.exp)
    assert figure.value == pytest.approx(math.exp(1 / 4))


def test_nothing_to_measure_is_no_number() -> None:
    figure = Resampler(replicates=10).ratio([np.zeros(3)], [np.zeros(3)])
    assert math.isnan(figure.value)
    assert figure.per_seed == ()


def test_the_same_seed_draws_the_same_interval_again() -> None:
    values = [np.arange(50.0)]
    assert Resampler(replicates=100).ratio(values) == Resampler(replicates=100).ratio(values)
    assert Resampler(replicates=100).ratio(values) != Resampler(replicates=100, seed=1).ratio(values)


@pytest.mark.slow
@examples(60)
@given(numbers, numbers)
def test_the_area_under_the_curve_is_scikit_learn_s(positive: list[float], negative: list[float]) -> None:
    labels = [1] * len(positive) + [0] * len(negative)
    expected = roc_auc_score(labels, positive + negative)
    assert auc(np.array(positive), np.array(negative)) == pytest.approx(expected)


@examples(20)
@given(numbers, numbers)
def test_the_interval_of_an_area_lies_between_0_and_1_and_is_a_point_for_separate_scores(
    positive: list[float], negative: list[float]
) -> None:
    figure = Resampler(replicates=50).auc([(np.array(positive), np.array(negative))])
    assert 0 <= figure.low <= figure.high <= 1
    apart = Resampler(replicates=50).auc([(np.array(positive) + 10, np.array(negative))])
    assert (apart.value, apart.low, apart.high) == (1, 1, 1)


def test_scores_that_are_not_numbers_are_left_out_of_an_area_and_nothing_left_is_no_area() -> None:
    scores, gap = np.array([2.0, 3.0]), np.array([math.nan])
    with_gap = Resampler(replicates=50).auc([(np.concatenate((scores, gap)), np.array([1.0, math.nan, 2.5]))])
    assert with_gap == Resampler(replicates=50).auc([(scores, np.array([1.0, 2.5]))])
    assert math.isnan(Resampler(replicates=50).auc([(scores, gap)]).value)


def test_the_interval_of_what_no_replicate_draws_is_its_value() -> None:
    only = np.eye(1, 1000)[0]
    figure = Resampler(replicates=1, seed=5).ratio([only], [only])
    assert (figure.value, figure.low, figure.high) == (1, 1, 1)


def test_the_jackknife_of_a_mean_has_its_standard_error() -> None:
    values = np.random.default_rng(3).normal(0, 1, 2000)
    group = groups(len(values))
    left_out = np.array([values[group != number].mean() for number in range(20)])
    figure = jackknife([float(values.mean())], [left_out])
    assert figure.high - figure.low == pytest.approx(2 * 1.96 / math.sqrt(2000), rel=0.5)
    half = jackknife([0.0, 0.0], [left_out, left_out])
    assert (half.high - half.low) * math.sqrt(2) == pytest.approx(figure.high - figure.low)


def test_models_measured_on_the_same_things_are_not_taken_for_independent_measurements() -> None:
    values = np.random.default_rng(4).standard_normal(500)
    resampler = Resampler(replicates=400)
    alone, together, apart = (
        resampler.ratio([values]),
        resampler.ratio([values] * 3, common=True),
        resampler.ratio([values] * 3),
    )
    assert (together.low, together.high) == pytest.approx((alone.low, alone.high))
    assert apart.high - apart.low < 0.8 * (alone.high - alone.low)
