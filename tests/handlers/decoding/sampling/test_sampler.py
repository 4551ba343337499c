from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest
import torch

from handlers.decoding.arrays import FloatArray, IntArray
from handlers.decoding.folded import BLOCK
from handlers.decoding.random_numbers import derive_seed, row_uniforms
from handlers.decoding.sampling.sampler import DRAWS, SamplingSettings, TokenWeights
from tests.handlers.counts import p_value


def _settings(
    rows: int, *, temperature: float = 1.0, top_k: int = 0, top_p: float = 1.0, min_p: float = 0.0
) -> SamplingSettings:
    return SamplingSettings(
        temperature=np.full(rows, temperature),
        top_k=np.full(rows, float(top_k)),
        top_p=np.full(rows, top_p),
        min_p=np.full(rows, min_p),
    )


def choose_tokens(log2: torch.Tensor, uniforms: FloatArray, values: SamplingSettings) -> IntArray:
    """From base-2 logarithms to tokens, as a step goes; -inf forbids a token."""
    forbidden = [row.isinf().nonzero().squeeze(1).tolist() for row in log2]
    width = max(map(len, forbidden))
    padded = np.array([each + [log2.shape[1]] * (width - len(each)) for each in forbidden], dtype=np.int64)
    log2 = torch.nn.functional.pad(log2.clamp_min(-1e4), (0, BLOCK - log2.shape[1] % BLOCK), value=-torch.inf)
    return _weights(values, log2.shape[1]).choose(log2, padded.reshape(len(log2), width), uniforms)


def _weights(values: SamplingSettings, num_tokens: int) -> TokenWeights:
    return TokenWeights(values, TokenWeights.memory(len(values.temperature), num_tokens, torch.device("cpu")))


def _uniforms(seed: int, count: int) -> FloatArray:
    numbers: FloatArray = row_uniforms([seed], count * DRAWS)[0].view(count, DRAWS).numpy()
    return numbers


def _reference(
    logits: np.ndarray, uniforms: np.ndarray, *, temperature: float, top_k: int, top_p: float, min_p: float
) -> tuple[int, float]:
    """One row in float64, word for word from the contract: the token, and how far the draw was from another one."""
    if temperature == 0:
        return int(logits.argmax()), 1.0
    scaled = logits / temperature
    probability = np.exp(scaled - scaled.max())
    probability /= probability.sum()
    order = np.argsort(-probability, kind="stable")
    kept = list(order[:top_k] if top_k else order)
    kept = [token for token in kept if probability[token] >= min_p * probability[order[0]]]
    mass = probability[kept] / probability[kept].sum()
    before = np.concatenate(([0.0], np.cumsum(mass)[:-1]))
    nucleus = before < top_p
    margin = np.abs(before - top_p).min() if top_p < 1 else 1.0
    kept, mass = [token for token, inside in zip(kept, nucleus, strict=True) if inside], mass[nucleus]
    if top_k == 0 and top_p >= 0.5 and min_p <= 0.3:
        # Whatever the filters drop is drawn again with the next number.
        edges = np.cumsum(probability)
        for uniform in uniforms[:-1]:
            place = int((edges < uniform * edges[-1]).sum())
            margin = min(margin, np.abs(edges[:-1] - uniform).min(initial=1.0))
            if place in kept:
                return place, float(margin)
    uniform = uniforms[-1]
    edges = np.cumsum(mass) / mass.sum()
    edges[-1] = 1.0
    place = int((edges < uniform).sum())
    return int(kept[place]), float(min(margin, np.abs(edges[:-1] - uniform).min(initial=1.0)))


FILTERS = [
    {"temperature": temperature, "top_k": top_k, "top_p": top_p, "min_p": min_p}
    for temperature in (0.0, 0.3, 0.8, 1.0, 2.5)
    for top_k in (0, 1, 3, 50, 300, 5000)
    for top_p in (0.001, 0.3, 0.92, 0.999, 1.0)
    for min_p in (0.0, 0.02, 0.5, 1.0)
]


@pytest.mark.slow
@pytest.mark.parametrize("size", [5, 200, 256, 257, 900])
@pytest.mark.parametrize("spread", [0.1, 1.0, 4.0])
@pytest.mark.parametrize("seed", [0, 1])
def test_every_mix_of_filters_draws_what_a_plain_float64_reference_draws(size: int, spread: float, seed: int) -> None:
    random = np.random.default_rng((size, seed))
    logits = (random.standard_normal((len(FILTERS), size)) * spread).astype(np.float32)
    uniforms = random.random((len(FILTERS), DRAWS))
    mixed = SamplingSettings(**{name: np.array([float(row[name]) for row in FILTERS]) for name in FILTERS[0]})
    chosen = choose_tokens(torch.from_numpy(logits), uniforms, mixed).tolist()
    unclear = 0
    for row, values in enumerate(FILTERS):
        token, margin = _reference(logits[row].astype(np.float64) * math.log(2), uniforms[row], **values)  # type: ignore[arg-type]  # counts come as numbers
        # A draw nearer to an edge than float32 can tell may fall on its other side.
        assert chosen[row] == token or margin < 1e-5
        unclear += margin < 1e-5
    assert unclear < len(FILTERS) / 20


@pytest.mark.parametrize("top_p", [0.5, 0.92, 1.0])
def test_a_row_draws_the_same_beside_rows_that_need_the_whole_vocabulary_even_among_equals(top_p: float) -> None:
    # Flat logits have nothing but ties, and no 256 of 900 tokens hold all candidates.
    flat = torch.zeros(1, 900)
    peaked = torch.zeros(1, 900)
    peaked[0, 5] = 9.0
    peaked[0, 40:60] = 8.0
    uniforms = _uniforms(1, 200)
    alone = choose_tokens(peaked.expand(200, -1), uniforms, _settings(200, top_p=0.5))
    both = SamplingSettings(**{**_slots(_settings(400)), "top_p": np.array([0.5] * 200 + [top_p] * 200)})
    mixed = torch.cat((peaked.expand(200, -1), flat.expand(200, -1)))
    assert choose_tokens(mixed, np.tile(uniforms, (2, 1)), both)[:200].tolist() == alone.tolist()


def _slots(values: SamplingSettings) -> dict[str, FloatArray]:
    return {name: getattr(values, name) for name in ("temperature", "top_k", "top_p", "min_p")}


def test_temperature_zero_takes_the_most_likely_token_whatever_the_filters_and_the_number() -> None:
    logits = torch.randn(64, 700, generator=torch.Generator().manual_seed(0))
    uniforms = _uniforms(5, 64)
    for filters_ in ({}, {"top_k": 3}, {"top_p": 0.1}, {"min_p": 0.9}):
        chosen = choose_tokens(logits, uniforms, _settings(64, temperature=0.0, **filters_))
        assert chosen.tolist() == logits.argmax(dim=1).tolist()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("values", "allowed"),
    [
        (_settings(4000, temperature=5.0), {1, 2, 4, 5, 6, 7}),
        (_settings(4000, temperature=5.0, top_p=0.999), {1, 2, 4, 5, 6, 7}),
        (_settings(4000, temperature=5.0, min_p=0.4), {1, 2, 4, 5, 6, 7}),
        (_settings(4000, temperature=5.0, top_k=5), {1, 2, 4, 5, 6}),
        (_settings(4000, temperature=5.0, top_p=0.4), {1, 2, 4}),
    ],
)
def test_a_forbidden_token_is_never_drawn(values: SamplingSettings, allowed: set[int]) -> None:
    logits = torch.zeros(4000, 8)
    logits[:, [0, 3]] = -torch.inf
    assert set(choose_tokens(logits, _uniforms(2, 4000), values).tolist()) == allowed


@pytest.mark.parametrize("filters_", [{"top_k": 40}, {"top_p": 0.45}, {"min_p": 0.35}, {"top_p": 0.55}])
def test_a_cold_row_draws_the_same_beside_warm_ones_under_every_filter(filters_: dict[str, float]) -> None:
    # The cold rows' weights are measured by their own best; the warm ones' nucleus is more than a window.
    log2 = torch.randn(60, 3000, generator=torch.Generator().manual_seed(4))
    values = SamplingSettings(
        **{
            **_slots(_settings(60, **filters_)),  # type: ignore[arg-type]  # counts come as numbers
            "temperature": np.tile([0.0, 0.02, 5.0], 20),
        }
    )
    uniforms = _uniforms(10, 60)
    together = choose_tokens(log2, uniforms, values).tolist()
    assert together[::3] == log2[::3].argmax(dim=1).tolist()
    for row in range(60):
        alone = np.array([row])
        assert choose_tokens(log2[row : row + 1], uniforms[alone], values[alone]).tolist() == [together[row]]


def test_tokens_come_as_often_as_their_probability_says() -> None:
    # A stream of numbers from each of many seeds, as rows have them.
    uniforms = row_uniforms([derive_seed(11, row) for row in range(400)], 50 * DRAWS).view(-1, DRAWS).numpy()
    row = torch.randn(400, generator=torch.Generator().manual_seed(1)) * 1.5
    count = len(uniforms)
    chosen = choose_tokens(row.expand(count, -1), uniforms, _settings(count, temperature=0.8))
    expected = torch.softmax(row.double() * math.log(2) / 0.8, dim=0).numpy() * count
    frequent = expected >= 5
    counts = np.bincount(chosen, minlength=400)
    observed = np.append(counts[frequent], counts[~frequent].sum())
    assert p_value(observed, np.append(expected[frequent], expected[~frequent].sum())) > 0.01


def test_the_nucleus_is_drawn_in_proportion_and_nothing_outside_it() -> None:
    count = 20_000
    logits = torch.tensor([0.5, 0.3, 0.15, 0.05]).log2().expand(count, -1)
    chosen = choose_tokens(logits, _uniforms(4, count), _settings(count, top_p=0.7))
    counts = Counter(chosen.tolist())
    assert set(counts) == {0, 1}
    assert p_value(np.array([counts[0], counts[1]]), np.array([count * 0.625, count * 0.375])) > 0.01


@pytest.mark.parametrize("shift", [4096.0, -4096.0])
def test_logarithms_that_no_float_can_raise_are_measured_by_their_best(shift: float) -> None:
    near = torch.randint(-64, 64, (40, 64), generator=torch.Generator().manual_seed(3)) / 8  # exact beside the shift
    uniforms, values = _uniforms(6, 40), _settings(40, temperature=0.5, top_p=0.92)
    expected = _weights(values, 64)
    moved, far = _weights(values, 64), near + shift
    assert np.allclose(moved.normalisers(far), expected.normalisers(near) - near.amax(dim=1).numpy())
    assert torch.equal(far, near - near.amax(dim=1, keepdim=True))
    none = np.zeros((40, 0), dtype=np.int64)
    assert moved.choose(near + shift, none, uniforms).tolist() == expected.choose(near, none, uniforms).tolist()


def test_top_k_takes_the_first_of_equals_however_many_they_are() -> None:
    # 40 of 2,000 equals: more than are looked at for the 40 likeliest. Beside them a row that has no equals.
    flat, rising = torch.zeros(300, 2000), torch.arange(2000.0).expand(300, -1) / 100
    chosen = choose_tokens(torch.cat((flat, rising)), _uniforms(9, 600), _settings(600, top_k=40))
    assert set(chosen[:300].tolist()) == set(range(40))
    assert chosen[300:].min() >= 1960
    assert choose_tokens(rising, _uniforms(9, 600)[300:], _settings(300, top_k=40)).tolist() == chosen[300:].tolist()


def test_a_row_whose_likely_tokens_are_all_forbidden_draws_among_the_rest() -> None:
    log2 = torch.full((300, 64), -300.0)
    log2[:, :4] = 0.0
    forbidden = np.tile(np.arange(4), (300, 1))
    chosen = _weights(_settings(300, temperature=0.5), 64).choose(log2, forbidden, _uniforms(7, 300))
    assert chosen.min() >= 4
    assert len(set(chosen.tolist())) > 50


def test_a_row_all_of_whose_tokens_are_forbidden_has_the_token_that_stands_for_none() -> None:
    log2 = torch.zeros(2, 64)
    forbidden = np.stack((np.arange(64), np.zeros(64, dtype=np.int64)))
    chosen = _weights(_settings(2, top_p=0.9), 64).choose(log2, forbidden, _uniforms(8, 2), fallback=70)
    assert chosen[0] == 70
    assert 1 <= chosen[1] < 64


def test_a_number_of_tokens_that_is_no_multiple_of_a_block_is_refused() -> None:
    with pytest.raises(ValueError, match="a multiple of 64, got 65"):
        _weights(_settings(1), 65)
