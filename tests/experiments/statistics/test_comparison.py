import math

import numpy as np
import pytest

from experiments.statistics.comparison import Verdict, compare, probability_positive
from experiments.statistics.errors import StatisticsError


def test_no_song_decides_nothing() -> None:
    comparison = compare([], alpha=0.05)
    assert comparison.decision is Verdict.UNDECIDED
    assert (comparison.low, comparison.high, comparison.mean, comparison.songs) == (-1.0, 1.0, 0.0, 0)
    assert comparison.probability_better == 0.5
    assert comparison.decided_at is None


def test_one_song_decides_nothing_and_is_not_certain() -> None:
    comparison = compare([1.0], alpha=0.05)
    assert comparison.decision is Verdict.UNDECIDED
    assert 0.5 < comparison.probability_better < 0.99


@pytest.mark.parametrize(("sign", "decision"), [(1, Verdict.BETTER), (-1, Verdict.WORSE)])
def test_a_clear_difference_is_found(sign: int, decision: Verdict) -> None:
    comparison = compare([sign * 0.5] * 16, alpha=0.05)
    assert comparison.decision is decision
    assert comparison.decided_at is not None
    assert comparison.decided_at <= 16
    assert sign * comparison.mean == 0.5
    assert min(sign * comparison.low, sign * comparison.high) > 0


def test_a_decision_stays_when_later_songs_speak_against_it() -> None:
    once = compare([1.0] * 8, alpha=0.05)
    later = compare([1.0] * 8 + [-1.0] * 8, alpha=0.05)
    assert later.decision is once.decision is Verdict.BETTER
    assert later.decided_at == once.decided_at
    assert later.log_e_better < later.log_threshold


def test_a_decision_is_open_again_when_the_verdicts_that_led_to_it_are_changed() -> None:
    assert compare([1.0] * 8 + [0.0] * 8, alpha=0.05).decision is Verdict.BETTER
    assert compare([1.0] * 3 + [0.0] * 13, alpha=0.05).decision is Verdict.UNDECIDED


def test_the_decision_is_the_interval_that_excludes_zero() -> None:
    generator = np.random.default_rng(3)
    for _ in range(15):
        differences = generator.choice([-1.0, -0.5, 0.0, 0.5, 1.0], size=60, p=[0.05, 0.2, 0.35, 0.25, 0.15])
        comparison = compare(differences, alpha=0.05)
        assert (comparison.decision is Verdict.BETTER) == (comparison.low > 0)


def test_several_treatments_share_alpha() -> None:
    one, two = compare([0.5] * 9, alpha=0.05), compare([0.5] * 9, alpha=0.05, treatments=2)
    assert two.log_threshold == pytest.approx(one.log_threshold + math.log(2))
    assert two.low < one.low


def test_the_probability_of_being_better_is_the_same_for_the_same_songs() -> None:
    differences = [0.5, -0.5, 0.0, 1.0, 0.5]
    first = probability_positive(differences)
    assert first == probability_positive(differences[::-1])
    assert first + probability_positive([-each for each in differences]) == pytest.approx(1.0, abs=0.02)


def test_the_probability_of_being_better_agrees_with_the_normal_approximation_for_many_songs() -> None:
    differences = np.random.default_rng(4).choice([-0.5, 0.0, 0.5], size=500, p=[0.27, 0.4, 0.33])
    z = differences.mean() / (differences.std() / math.sqrt(500))
    assert probability_positive(differences) == pytest.approx(0.5 * (1 + math.erf(z / math.sqrt(2))), abs=0.02)


def test_arguments_out_of_range_are_refused() -> None:
    with pytest.raises(StatisticsError, match="alpha"):
        compare([0.5], alpha=1.5)
    with pytest.raises(StatisticsError, match="number of treatments must be at least 1, got 0"):
        compare([0.5], alpha=0.05, treatments=0)
    with pytest.raises(StatisticsError, match=r"got 1\.5"):
        compare([1.5], alpha=0.05)
