from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from handlers.model.acceptability import (
    FEATURES,
    TOKEN_FEATURES,
    Abandonment,
    Acceptability,
    Features,
    TokenFeatures,
    first_token_features,
)
from handlers.model.bundle import ACCEPTABILITY, WEIGHTS, Bundle, BundleError, bundle_files, bundle_sha256
from tests.handlers.acceptabilities import acceptability, accepting, check
from tests.handlers.tiny_bundles import tiny_bundle

UNIGRAMS = (-1.0, -2.0, -3.0, -4.0)
CHECKS = (check(2, 0.5), check(4, 0.25, slor=2.0))


def _features(**values: float) -> Features:
    return Features(**dict.fromkeys(FEATURES, 0.0) | values)


def _token_features(drawn: list[tuple[int, float]]) -> TokenFeatures:
    return TokenFeatures.of([number for number, _ in drawn], [log_prob for _, log_prob in drawn], UNIGRAMS)


def test_slor_is_the_gain_over_the_tokens_frequencies_per_token() -> None:
    found = TokenFeatures.of((1, 2, 3), (-0.5, -4.0, -1.5), UNIGRAMS)
    assert found.mean_log_prob == pytest.approx(-2.0)
    assert found.slor == pytest.approx((-6.0 + 9.0) / 3)
    assert (found.least_likely, found.second_least_likely) == (-4.0, -1.5)


def test_of_a_single_token_the_second_least_likely_is_itself() -> None:
    found = TokenFeatures.of((0,), (-0.5,), UNIGRAMS)
    assert (found.least_likely, found.second_least_likely) == (-0.5, -0.5)


@given(st.lists(st.tuples(st.integers(0, 3), st.floats(-30, 0)), min_size=1, max_size=30), st.randoms())
def test_the_order_of_the_tokens_changes_no_bit_of_their_features(drawn: list[tuple[int, float]], random: Any) -> None:
    shuffled = random.sample(drawn, len(drawn))
    assert _token_features(drawn) == _token_features(shuffled)


def test_the_score_is_the_weighted_sum_of_standardised_features() -> None:
    plain = acceptability(4, {"slor": 2.0, "copies": -1.0})
    scored = dataclasses.replace(
        plain, means=dict(plain.means) | {"slor": 1.0}, scales=dict(plain.scales) | {"slor": 0.5, "copies": 4.0}
    )
    assert scored.score(_features(slor=2.0, copies=2.0, topic=99.0)) == pytest.approx(2.0 * 1.0 / 0.5 - 2.0 / 4.0)
    assert (scored.uses("slor"), scored.uses("topic")) == (True, False)


@given(
    st.integers(1, 12).flatmap(
        lambda size: st.lists(
            st.lists(st.tuples(st.integers(0, 3), st.floats(-30, 0)), min_size=size, max_size=size),
            min_size=1,
            max_size=6,
        )
    )
)
def test_the_features_of_first_tokens_are_those_of_a_sentence_and_the_same_beside_any_others(
    rows: list[list[tuple[int, float]]],
) -> None:
    ids = np.array([[number for number, _ in row] for row in rows])
    log_probs = np.array([[log_prob for _, log_prob in row] for row in rows])
    together = first_token_features(ids, log_probs, np.array(UNIGRAMS))
    for place, row in enumerate(rows):
        alone = first_token_features(ids[place : place + 1], log_probs[place : place + 1], np.array(UNIGRAMS))
        assert (together[place] == alone[0]).all(), "to the last bit"
        expected = _token_features(row)
        assert alone[0] == pytest.approx([getattr(expected, name) for name in TOKEN_FEATURES], abs=1e-12)


def test_a_forecast_weighs_the_features_of_the_first_tokens() -> None:
    rule = Abandonment(checks=CHECKS, unigrams_V=np.array(UNIGRAMS))
    assert rule.places == (2, 4)
    ids, log_probs = np.array([[1, 1], [2, 0]]), np.array([[-1.0, -3.0], [-0.5, -0.5]])
    assert rule.forecasts(0, ids, log_probs) == pytest.approx([-2.0, -0.5])
    ids, log_probs = np.array([[1, 1, 1, 1]]), np.array([[-1.0, -1.0, -1.0, -7.0]])
    assert rule.forecasts(1, ids, log_probs) == pytest.approx([2 * (-10 + 8) / 4])


@pytest.mark.parametrize(
    ("keep", "size", "kept"),
    [(0.5, 16, 8), (0.4, 16, 7), (0.125, 16, 2), (0.125, 3, 1), (1.0, 5, 5), (0.01, 1, 1), (0.07, 100, 7)],
)
def test_a_check_keeps_its_share_of_the_candidates_and_at_least_one(keep: float, size: int, kept: int) -> None:
    assert check(1, keep).num_kept(size) == kept


def test_an_acceptability_without_checks_abandons_nothing() -> None:
    assert acceptability(4).abandonment is None


def test_json_keeps_everything_but_the_unigrams() -> None:
    made = dataclasses.replace(acceptability(4, {"slor": 0.1 + 0.2}, checks=CHECKS, opening_penalty=0.7), version=3)
    assert Acceptability.from_json(made.to_json(), made.unigram_log_probs_V) == made


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"scales": dict.fromkeys(FEATURES, 0.0)}, "above 0"),
        ({"weights": dict.fromkeys(FEATURES, math.nan)}, "finite"),
        ({"means": {"slor": 0.0}}, "mean_log_prob"),
        ({"weights": dict.fromkeys((*FEATURES, "charm"), 0.0)}, "charm"),
        ({"unigram_log_probs_V": torch.zeros(2, 2)}, "1-d"),
    ],
)
def test_values_that_no_score_can_have_are_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(acceptability(4), **change)


def test_checks_that_no_decode_can_make_are_refused() -> None:
    with pytest.raises(ValueError, match="at least 1 token, got 0"):
        check(0, 0.5)
    for keep in (0.0, 1.1):
        with pytest.raises(ValueError, match="a check keeps a share"):
            check(3, keep)
    with pytest.raises(ValueError, match="a check weighs"):
        check(3, 0.5, charm=1.0)
    with pytest.raises(ValueError, match=r"ascending order, each once, got \[4, 2\]"):
        Abandonment(checks=CHECKS[::-1], unigrams_V=np.array(UNIGRAMS))


def test_a_bundle_keeps_its_acceptability_and_one_without_loads(tmp_path: Path) -> None:
    bundle = accepting(tiny_bundle(), {"slor": 1.0}, checks=CHECKS)
    for name, each in {"with": bundle, "without": tiny_bundle()}.items():
        (tmp_path / name).mkdir()
        each.save(tmp_path / name, model_card="card")
    loaded = Bundle.load(tmp_path / "with").acceptability
    assert loaded == bundle.acceptability
    assert loaded is not None
    assert bundle.acceptability is not None
    assert loaded.unigram_log_probs == bundle.acceptability.unigram_log_probs
    assert Bundle.load(tmp_path / "without").acceptability is None
    assert ACCEPTABILITY in bundle_files(tmp_path / "with")
    assert ACCEPTABILITY not in bundle_files(tmp_path / "without")


def test_other_weights_are_another_bundle(tmp_path: Path) -> None:
    accepting(tiny_bundle()).save(tmp_path, model_card="card")
    before = bundle_sha256(tmp_path)
    text = (tmp_path / ACCEPTABILITY).read_text()
    (tmp_path / ACCEPTABILITY).write_text(text.replace('"weight": 1.0', '"weight": 2.0'))
    assert bundle_sha256(tmp_path) != before


def test_a_lost_or_damaged_acceptability_is_refused(tmp_path: Path) -> None:
    accepting(tiny_bundle()).save(tmp_path, model_card="card")
    document = json.loads((tmp_path / ACCEPTABILITY).read_text())
    for broken in ("{", json.dumps({**document, "format": 99}), json.dumps({**document, "features": {}}), "[]"):
        (tmp_path / ACCEPTABILITY).write_text(broken)
        with pytest.raises(BundleError, match="cannot be loaded"):
            Bundle.load(tmp_path)
    (tmp_path / ACCEPTABILITY).unlink()
    with pytest.raises(BundleError, match=r"acceptability\.json"):
        Bundle.load(tmp_path)


def test_an_acceptability_of_another_vocabulary_is_refused(tmp_path: Path) -> None:
    bundle = tiny_bundle()
    other = acceptability(len(bundle.vocabulary) - 1)
    dataclasses.replace(bundle, acceptability=other).save(tmp_path, model_card="card")
    with pytest.raises(BundleError, match="the acceptability is for"):
        Bundle.load(tmp_path)
    assert (tmp_path / WEIGHTS).is_file()
