from __future__ import annotations

import dataclasses
import math
from typing import Any

import pytest

from handlers.commentary import Commentator
from handlers.decoding.arrays import IntArray
from handlers.model.acceptability import FEATURES, TOKEN_FEATURES
from handlers.model.bundle import Bundle
from handlers.model.vocabulary import EOS_ID
from tests.handlers import flat
from tests.handlers.acceptabilities import accepting
from tests.handlers.tiny_bundles import tiny_bundle
from training.cvae.batches import EncodedSentences
from training.packaging.calibration import (
    Calibration,
    CalibrationSettings,
    calibrate,
    candidates,
    cost,
    unigram_log_probs,
)
from training.packaging.score_weights import WEIGHTS

TEXTS = ["wa wb wc wa", "wb wa <artist>", "wd we"]
GENRES = [("pop",), (), ("techno", "pop")]
SETTINGS = CalibrationSettings(num_groups=40, best_of=8, abandon_after=(3, 6), keep=(0.5, 0.25), seed=2)


def _counts(bundle: Bundle) -> IntArray:
    encoded = EncodedSentences(TEXTS, [() for _ in TEXTS], bundle.vocabulary, bundle.genres)
    return encoded.token_counts(len(bundle.vocabulary))


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return tiny_bundle(end_bias=0.0)


@pytest.fixture(scope="module")
def calibration(bundle: Bundle) -> Calibration:
    return calibrate(bundle, token_counts_V=_counts(bundle), genres=GENRES, settings=SETTINGS)


def test_the_weights_are_for_the_features_there_are() -> None:
    assert set(WEIGHTS) == set(FEATURES)
    assert all(math.isfinite(weight) for weight in WEIGHTS.values())


def test_unigrams_are_the_frequencies_of_the_tokens_and_of_ends(bundle: Bundle) -> None:
    log_probs = unigram_log_probs(_counts(bundle)).exp().tolist()
    assert sum(log_probs) == pytest.approx(1, abs=1e-5)
    (wa,) = bundle.vocabulary.encode(" wa")
    unseen = bundle.vocabulary.tokens.index(" wj")
    assert log_probs[EOS_ID] / log_probs[unseen] == pytest.approx(3.5 / 0.5, rel=1e-4)
    assert 0 < log_probs[unseen] < log_probs[wa]


def test_features_have_the_means_and_scales_of_the_models_own_candidates(
    bundle: Bundle, calibration: Calibration
) -> None:
    made = dataclasses.replace(bundle, acceptability=calibration.acceptability)
    every = [each for group in candidates(made, GENRES, SETTINGS) for each in group]
    assert len(every) == 320 == calibration.figures["candidates"]
    scores = [each.score for each in every]
    assert sum(scores) / len(scores) == pytest.approx(0, abs=1e-6)
    slor = [each.features.slor for each in every]
    mean = sum(slor) / len(slor)
    assert calibration.acceptability.means["slor"] == pytest.approx(mean)
    spread = math.sqrt(sum((each - mean) ** 2 for each in slor) / len(slor))
    assert calibration.acceptability.scales["slor"] == pytest.approx(spread)
    assert calibration.acceptability.scales["copies"] == 1.0, "there is no table of copies, so all are 0"


def test_each_check_keeps_the_wanted_share_of_the_candidates(bundle: Bundle, calibration: Calibration) -> None:
    made = dataclasses.replace(bundle, acceptability=calibration.acceptability)
    for group in candidates(made, GENRES, SETTINGS):
        for after, kept in ((3, 4), (6, 2)):
            longer = [each for each in group if each.decoded.token_count > after]
            left = [each for each in longer if each.abandoned_after is None or each.abandoned_after > after]
            assert len(left) <= kept


def test_those_that_are_abandoned_would_have_scored_less(bundle: Bundle, calibration: Calibration) -> None:
    made = dataclasses.replace(bundle, acceptability=calibration.acceptability)
    fresh = candidates(made, GENRES, dataclasses.replace(SETTINGS, seed=77))
    every = [each for group in fresh for each in group if each.decoded.token_count > 6]

    def mean(*, abandoned: bool) -> float:
        scores = [each.score for each in every if (each.abandoned_after is not None) == abandoned]
        return sum(scores) / len(scores)

    assert mean(abandoned=True) < mean(abandoned=False) - 0.1


def test_the_figures_are_those_of_the_decode(bundle: Bundle, calibration: Calibration) -> None:
    commentator = Commentator(dataclasses.replace(bundle, acceptability=calibration.acceptability))
    figures = cost(candidates(commentator.bundle, [], SETTINGS), calibration.acceptability)
    requests = [flat.request(num_samples=1, best_of=8, seed=2 + number) for number in range(40)]
    answered = commentator.answer_batch(requests)
    assert figures["steps_per_sample"] * 40 == pytest.approx(answered.times.tokens)
    assert figures["steps_per_sample"] < 0.7 * 8 * figures["steps_of_one"]
    assert 0.3 < figures["best_survives"] <= 1
    assert figures["score_of_one"] < figures["score"] <= figures["score_of_all"]


def test_more_is_kept_where_more_is_wanted(bundle: Bundle) -> None:
    all_of_them = dataclasses.replace(SETTINGS, keep=(1.0, 1.0))
    figures = calibrate(bundle, token_counts_V=_counts(bundle), genres=[], settings=all_of_them).figures
    assert figures["best_survives"] == 1
    assert figures["score"] == figures["score_of_all"]
    assert figures["steps_per_sample"] == pytest.approx(8 * figures["steps_of_one"])


def test_a_calibration_is_the_same_each_time_and_ignores_the_one_before(
    bundle: Bundle, calibration: Calibration
) -> None:
    again = calibrate(
        accepting(bundle, {"topic": 9.0}), token_counts_V=_counts(bundle), genres=GENRES, settings=SETTINGS
    )
    assert again == calibration


def test_the_forecast_weighs_the_features_that_the_score_has(bundle: Bundle) -> None:
    weights = dict.fromkeys(FEATURES, 0.0) | {"least_likely": 1.0}
    checks = calibrate(
        bundle, token_counts_V=_counts(bundle), genres=GENRES, settings=SETTINGS, weights=weights
    ).acceptability.checks
    assert [check.after for check in checks] == [3, 6]
    for check in checks:
        assert set(check.weights) == set(TOKEN_FEATURES)
        assert check.weights["least_likely"] > 0


@pytest.mark.parametrize(
    "values",
    [
        {"num_groups": 0},
        {"best_of": 0},
        {"abandon_after": (6,)},
        {"abandon_after": (12, 6)},
        {"abandon_after": (0, 6)},
        {"abandon_after": (6, 128)},
        {"keep": (0.0, 0.5)},
        {"keep": (0.5, 1.1)},
    ],
)
def test_settings_that_no_calibration_can_have_are_refused(values: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"got|groups"):
        dataclasses.replace(SETTINGS, **values)


def test_weights_of_other_features_are_refused(bundle: Bundle) -> None:
    with pytest.raises(ValueError, match="charm"):
        calibrate(
            bundle, token_counts_V=_counts(bundle), genres=[], settings=SETTINGS, weights={**WEIGHTS, "charm": 1.0}
        )
