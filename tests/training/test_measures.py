from __future__ import annotations

import pytest

from handlers.commentary import Commentator
from handlers.contract import SamplingParams
from handlers.decoding.engine import SequenceSpec
from tests.handlers.tiny_bundles import tiny_bundle
from training.measures import distinct, measure_samples


@pytest.mark.parametrize(
    ("texts", "size", "expected"),
    [
        ([], 1, 0.0),
        (["", "…"], 1, 0.0),
        (["warm"], 2, 0.0),
        (["a warm hiss"], 2, 1.0),
        (["warm warm warm warm"], 1, 0.25),
        (["Warm hiss.", "warm, HISS"], 2, 0.5),
        (["so warm", "so cold", "so warm"], 1, 0.5),
    ],
)
def test_distinct_is_the_share_of_different_n_grams_within_sentences(
    texts: list[str], size: int, expected: float
) -> None:
    assert distinct(texts, size) == pytest.approx(expected)


def test_n_grams_do_not_reach_across_sentences() -> None:
    assert distinct(["a b", "b a"], 2) == 1.0
    assert distinct(["a b b a"], 2) == 1.0
    assert distinct(["a b", "c d", "a b"], 2) == pytest.approx(2 / 3)


@pytest.mark.slow
def test_figures_are_those_of_the_decoded_sentences() -> None:
    bundle = tiny_bundle()
    rows = [SequenceSpec(genres=(1,), seed=seed, sampling=SamplingParams(max_tokens=12)) for seed in range(300)]
    figures = measure_samples(bundle, rows)
    assert sum(figures.topic_shares) == pytest.approx(1)
    assert figures.desired_share == figures.topic_shares[bundle.topics.desired]
    assert 0 < figures.unfinished < 1
    assert 1 < figures.mean_tokens <= 12
    assert figures == measure_samples(bundle, rows)
    # The worker's answers to the same seeds say the same.
    engine = Commentator(bundle)._engine
    decoded = engine.decode(rows)
    assert figures.mean_tokens == pytest.approx(sum(each.token_count for each in decoded) / 300)
    assert figures.unfinished == pytest.approx(sum(not each.finished for each in decoded) / 300)


def test_no_rows_have_figures_of_zero() -> None:
    figures = measure_samples(tiny_bundle(), [])
    assert (figures.desired_share, figures.distinct_2, figures.mean_tokens, figures.unfinished) == (0, 0, 0, 0)
