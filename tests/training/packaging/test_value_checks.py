"""Checks of a value function: fitted so that what both would choose is left, and chosen as a worker chooses."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from handlers.commentary import Commentator
from handlers.contract import CommentaryRequest, RankBy
from handlers.model.bundle import Bundle
from handlers.ranking.candidates import Candidate
from tests.handlers.acceptabilities import accepting
from tests.handlers.tiny_bundles import tiny_bundle
from tests.handlers.valuing import valuing
from training.measures import distinct
from training.packaging.calibration import CalibrationSettings, candidates
from training.packaging.value_checks import ValueCheckSettings, chosen_by_both, fit_checks, fit_ranking, totals

pytestmark = pytest.mark.slow

SETTINGS = ValueCheckSettings(num_groups=60, best_of=8, abandon_after=(3, 6), keep=(0.5, 0.25))


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return valuing(accepting(tiny_bundle(seed=1, end_bias=0.0)))


@pytest.fixture(scope="module")
def groups(bundle: Bundle) -> list[list[Candidate]]:
    return candidates(bundle, [("pop",)], CalibrationSettings(num_groups=60, best_of=8, seed=3))


def test_checks_leave_better_candidates_than_chance(bundle: Bundle, groups: list[list[Candidate]]) -> None:
    fitted = replace(bundle, value=fit_checks(bundle, groups, SETTINGS))
    assert fitted.value is not None
    assert [check.after for check in fitted.value.checks] == [3, 6]
    fresh = candidates(bundle, [("techno",)], CalibrationSettings(num_groups=80, best_of=8, seed=9))
    ranked = totals(fitted, fresh)
    best, drawn, kept = [], [], []
    for group, of_group, chosen in zip(fresh, ranked, chosen_by_both(fitted, fresh), strict=True):
        best.append(max(of_group))
        drawn.append(float(np.mean(sorted(of_group[:2])[-1:])))
        kept.append(of_group[group.index(chosen)])
    # Two of eight are left: better than the better of any two.
    assert np.mean(drawn) < np.mean(kept) <= np.mean(best)


def test_what_is_chosen_is_what_a_worker_answers(bundle: Bundle, groups: list[list[Candidate]]) -> None:
    value = fit_ranking(bundle, groups, SETTINGS)
    served = replace(bundle, value=value, config=replace(bundle.config, rank_by=RankBy.BOTH))
    commentator = Commentator(served)
    requests = [CommentaryRequest(genres=("pop",), num_samples=1, seed=seed, best_of=8) for seed in range(8)]
    fresh = [samples[0] for samples in commentator.candidates(requests)]
    answers = [answer.samples[0] for answer in commentator.answer(requests)]
    assert [each.seed for each in chosen_by_both(served, fresh)] == [each.seed for each in answers]


def test_common_pairs_cost_as_much_as_variety_needs(bundle: Bundle, groups: list[list[Candidate]]) -> None:
    value = fit_ranking(bundle, groups, SETTINGS)
    assert value.common is not None

    def variety(weight: float) -> float:
        assert value.common is not None
        weighed = replace(bundle, value=replace(value, common=replace(value.common, weight=weight)))
        return distinct([each.text for each in chosen_by_both(weighed, groups)], 2)

    assert variety(12.0) > variety(0.0)


def test_without_what_ranks_there_is_nothing_to_fit(bundle: Bundle, groups: list[list[Candidate]]) -> None:
    with pytest.raises(ValueError, match="cvae has no value function"):
        fit_checks(replace(bundle, value=None), groups, SETTINGS)
    with pytest.raises(ValueError, match="cvae has no acceptability"):
        fit_ranking(replace(bundle, acceptability=None), groups, SETTINGS)


def test_checks_that_nobody_reaches_abandon_nobody(bundle: Bundle, groups: list[list[Candidate]]) -> None:
    late = replace(SETTINGS, abandon_after=(3, 120), keep=(0.5, 0.25))
    value = fit_checks(bundle, groups, late)
    assert value.tokens_CV is not None
    assert not value.tokens_CV[1].any()
    assert set(value.checks[1].weights.values()) == {0.0}
