from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from handlers.decoding.arrays import FloatArray, IntArray
from handlers.decoding.sampling.filters import SamplingSettings
from handlers.decoding.sampling.sorted_draw import draw_sorted
from tests.examples import examples

# Whole weights and shares of a power of two: sums and products are exact in any order, so that a token on an edge has
# one side, and the reference need not allow for rounding.
Filters = dict[str, float]
NONE: Filters = {"top_k": 0, "top_p": 1.0, "min_p": 0.0}
eighths = st.integers(1, 8).map(lambda number: number / 8)
filters = st.fixed_dictionaries(
    {
        "top_k": st.sampled_from([0, 0, 1, 7, 255, 256, 257, 1500]),
        "top_p": eighths,
        "min_p": st.sampled_from([0.0, 0.0, 1 / 64, 0.25, 0.5, 1.0]),
    }
)


def _settings(rows: list[Filters]) -> SamplingSettings:
    columns = {name: np.array([float(row[name]) for row in rows]) for name in NONE}
    return SamplingSettings(temperature=np.ones(len(rows)), **columns)


def _drawn(weights: np.ndarray, uniforms: FloatArray, rows: list[Filters]) -> list[int]:
    before = weights.astype(np.float32)
    given_weights = before.copy()
    drawn: IntArray = draw_sorted(given_weights, before.sum(axis=1, dtype=np.float64), uniforms, _settings(rows))
    assert np.array_equal(given_weights, before)
    return list(map(int, drawn))


def _reference(weights: list[float], uniform: float, row: Filters) -> int:
    """Word for word from the contract: filters in their order, each on what the one before it left."""
    order = sorted(range(len(weights)), key=lambda token: (-weights[token], token))
    kept = order[: int(row["top_k"])] if row["top_k"] else order
    kept = [token for token in kept if weights[token] >= row["min_p"] * weights[order[0]]]
    left = sum(weights[token] for token in kept)
    nucleus, before = [], 0.0
    for token in kept:
        if before < row["top_p"] * left:
            nucleus.append(token)
            before += weights[token]
    height, reached = uniform * before, 0.0
    for token in nucleus:
        reached += weights[token]
        if reached >= height:
            return token
    raise AssertionError("no token")


@examples(60)
@given(
    rows=st.lists(filters, min_size=1, max_size=6),
    size=st.sampled_from([1, 2, 64, 255, 256, 257, 1024, 1025, 5000]),
    highest=st.sampled_from([1, 3, 40, 5000]),
    share=st.sampled_from([0.01, 0.5, 1.0]),
    seed=st.integers(0, 2**32 - 1),
)
def test_any_filters_draw_what_a_plain_reference_draws_among_equals_and_forbidden_tokens(
    rows: list[Filters], size: int, highest: int, share: float, seed: int
) -> None:
    random = np.random.default_rng(seed)
    weights = random.integers(1, highest, (len(rows), size), endpoint=True) * (random.random((len(rows), size)) < share)
    weights[:, random.integers(size)] = 1
    uniforms = (random.integers(0, 512, len(rows)) * 2 + 1) / 1024
    expected = [_reference(*each) for each in zip(weights.tolist(), uniforms.tolist(), rows, strict=True)]
    assert _drawn(weights, uniforms, rows) == expected


@pytest.mark.parametrize("kept", [1, 255, 256, 257, 1023, 1024, 1025, 4095, 4096, 4097, 4999, 5000])
@pytest.mark.parametrize("kind", ["top_k", "min_p", "top_p", "both"])
def test_all_that_is_kept_is_drawn_and_nothing_beside_it_wherever_a_window_ends(kept: int, kind: str) -> None:
    # Twos are kept and ones dropped, or equals up to a count of them.
    weights = np.ones(5000)
    ids = np.random.default_rng(kept).permutation(5000)[:kept]
    weights[ids] = 2
    changes: dict[str, Filters] = {
        "top_k": {"top_k": kept},
        "min_p": {"min_p": 0.75},
        "top_p": {"top_p": (2 * kept - 1) / (5000 + kept)},
        "both": {"top_k": min(2 * kept, 5000), "min_p": 0.75},
    }
    places = np.unique(np.linspace(0, kept - 1, 30).astype(np.int64))
    drawn = _drawn(np.tile(weights, (len(places), 1)), (places + 0.5) / kept, [{**NONE, **changes[kind]}] * len(places))
    assert drawn == np.sort(ids)[places].tolist()


@pytest.mark.slow
@pytest.mark.parametrize("kept", [3, 256, 700, 1024, 2048])
@pytest.mark.parametrize("kind", ["top_k", "top_p"])
def test_the_first_of_equals_are_kept_however_many_they_are(kept: int, kind: str) -> None:
    row = {**NONE, **({"top_k": kept} if kind == "top_k" else {"top_p": kept / 4096})}
    uniforms = (np.arange(kept) + 0.5) / kept
    assert _drawn(np.ones((kept, 4096)), uniforms, [row] * kept) == list(range(kept))


def test_the_nucleus_is_a_share_of_what_min_p_leaves_also_beyond_the_first_window() -> None:
    # Of 600 fours and 4,000 ones min-p leaves the fours; half of their sum are 300 of them, more than a window.
    weights = np.concatenate((np.ones(4000), np.full(600, 4)))
    uniforms = (np.arange(300) + 0.5) / 300
    drawn = _drawn(np.tile(weights, (300, 1)), uniforms, [{"top_k": 0, "min_p": 0.5, "top_p": 0.5}] * 300)
    assert drawn == list(range(4000, 4300))


@examples(40)
@given(
    rows=st.lists(filters, min_size=2, max_size=8),
    seed=st.integers(0, 2**32 - 1),
    spread=st.sampled_from([0.0, 1.0, 5.0]),
)
@example(rows=[{**NONE, "top_p": 0.5}, {**NONE, "top_p": 0.125}], seed=0, spread=0.0)
def test_a_row_draws_the_same_alone_and_beside_rows_that_need_wider_windows(
    rows: list[Filters], seed: int, spread: float
) -> None:
    random = np.random.default_rng(seed)
    weights = np.exp(random.standard_normal((len(rows), 3000)) * spread * random.random((len(rows), 1)))
    uniforms = random.random(len(rows))
    alone = [_drawn(weights[i : i + 1], uniforms[i : i + 1], rows[i : i + 1])[0] for i in range(len(rows))]
    assert _drawn(weights, uniforms, rows) == alone


@pytest.mark.parametrize("row", [NONE, {**NONE, "top_k": 2000}, {**NONE, "top_p": 0.125}, {**NONE, "min_p": 0.5}])
def test_a_row_without_any_weight_ends_beside_others(row: Filters) -> None:
    weights = np.zeros((2, 3000))
    weights[1, 2999] = 1
    token, other = _drawn(weights, np.array([0.5, 0.5]), [row, row])
    assert 0 <= token < 3000
    assert other == 2999
