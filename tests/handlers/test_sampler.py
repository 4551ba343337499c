from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from handlers.contract import MAX_SEED
from handlers.sampler import (
    DRAWS,
    SamplingSettings,
    derive_seed,
    row_uniforms,
    standard_normals,
    weigh,
)
from handlers.sampler import (
    choose_tokens as choose_by_weight,
)

seeds = st.integers(0, MAX_SEED)


def _p_value(observed: np.ndarray, expected: np.ndarray) -> float:
    """Pearson's chi-square test of counts against their expectation."""
    statistic = torch.tensor(((observed - expected) ** 2 / expected).sum())
    half_freedom = torch.tensor((len(expected) - 1) / 2, dtype=torch.float64)
    return float(torch.special.gammaincc(half_freedom, statistic / 2))


def _settings(
    rows: int, *, temperature: float = 1.0, top_k: int = 0, top_p: float = 1.0, min_p: float = 0.0
) -> SamplingSettings:
    return SamplingSettings(
        temperature=torch.full((rows,), temperature),
        top_k=torch.full((rows,), top_k),
        top_p=torch.full((rows,), top_p),
        min_p=torch.full((rows,), min_p),
    )


def choose_tokens(log2: torch.Tensor, uniforms: torch.Tensor, values: SamplingSettings) -> torch.Tensor:
    """From base-2 logarithms to tokens, as a step goes."""
    weight = torch.empty_like(log2.contiguous())
    weigh(log2 - log2.amax(dim=1, keepdim=True), values.temperature, weight)
    return choose_by_weight(weight, uniforms, values)


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


@given(seeds, st.lists(seeds, max_size=5), st.integers(0, 3))
def test_a_rows_numbers_depend_on_its_seed_alone(seed: int, others: list[int], place: int) -> None:
    alone = row_uniforms([seed], 40)[0]
    rows = [*others[:place], seed, *others[place:]]
    assert torch.equal(row_uniforms(rows, 40)[len(others[:place])], alone)
    assert torch.equal(row_uniforms([seed], 7)[0], alone[:7])


@given(seeds)
def test_numbers_lie_strictly_between_0_and_1(seed: int) -> None:
    numbers = row_uniforms([seed], 64)
    assert numbers.dtype == torch.float64
    assert bool(((numbers > 0) & (numbers < 1)).all())
    assert bool(standard_normals(numbers).isfinite().all())


def test_the_numbers_of_a_seed_never_change() -> None:
    # Written down once: a served text must come back from its seed after any upgrade of NumPy or of this code.
    assert row_uniforms([0, 7, MAX_SEED], 3).tolist() == GOLDEN


GOLDEN = [
    [0.011546754286331617, 0.24154919656271817, 0.11142585551493828],
    [0.8720734548204874, 0.2953653815137836, 0.4200976785072423],
    [0.9258067163090251, 0.1815702502734609, 0.6192568763511546],
]


def test_numbers_are_uniform_and_their_transform_is_normal() -> None:
    numbers = row_uniforms([derive_seed(3, row) for row in range(200)], 50).flatten()
    even = np.full(100, len(numbers) / 100)
    assert _p_value(np.histogram(numbers, 100, (0, 1))[0], even) > 0.01
    # The distribution function brings normal numbers back to uniform ones.
    back = torch.special.ndtr(standard_normals(numbers))
    assert _p_value(np.histogram(back, 100, (0, 1))[0], even) > 0.01
    assert abs(float(standard_normals(numbers).mean())) < 0.03


@given(seeds)
def test_the_first_row_has_the_requests_own_seed_and_all_seeds_of_a_request_differ(seed: int) -> None:
    assert derive_seed(seed, 0) == seed
    derived = [derive_seed(seed, row) for row in range(256)]
    assert len(set(derived)) == 256
    assert all(0 <= each <= MAX_SEED for each in derived)


def test_seeds_of_neighbouring_requests_do_not_meet() -> None:
    derived = [derive_seed(seed, row) for seed in range(50) for row in range(64)]
    assert len(set(derived)) == len(derived)


FILTERS = [
    {"temperature": temperature, "top_k": top_k, "top_p": top_p, "min_p": min_p}
    for temperature in (0.0, 0.3, 0.8, 1.0, 2.5)
    for top_k in (0, 1, 3, 50, 300, 5000)
    for top_p in (0.001, 0.3, 0.92, 0.999, 1.0)
    for min_p in (0.0, 0.02, 0.5, 1.0)
]


@pytest.mark.parametrize("size", [5, 200, 256, 257, 900])
@pytest.mark.parametrize("spread", [0.1, 1.0, 4.0])
@pytest.mark.parametrize("seed", [0, 1])
def test_every_mix_of_filters_draws_what_a_plain_float64_reference_draws(size: int, spread: float, seed: int) -> None:
    random = np.random.default_rng((size, seed))
    logits = (random.standard_normal((len(FILTERS), size)) * spread).astype(np.float32)
    uniforms = random.random((len(FILTERS), DRAWS))
    columns = {name: torch.tensor([row[name] for row in FILTERS]) for name in FILTERS[0]}
    mixed = SamplingSettings(**columns)
    chosen = choose_tokens(torch.from_numpy(logits), torch.from_numpy(uniforms), mixed).tolist()
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
    uniforms = row_uniforms([1], 200 * DRAWS)[0].view(200, DRAWS)
    alone = choose_tokens(peaked.expand(200, -1), uniforms, _settings(200, top_p=0.5))
    both = SamplingSettings(**{**_slots(_settings(400)), "top_p": torch.tensor([0.5] * 200 + [top_p] * 200)})
    mixed = torch.cat((peaked.expand(200, -1), flat.expand(200, -1)))
    assert torch.equal(choose_tokens(mixed, uniforms.repeat(2, 1), both)[:200], alone)


def _slots(values: SamplingSettings) -> dict[str, torch.Tensor]:
    return {name: getattr(values, name) for name in SamplingSettings.__slots__}


def test_temperature_zero_takes_the_most_likely_token_whatever_the_filters_and_the_number() -> None:
    logits = torch.randn(64, 700, generator=torch.Generator().manual_seed(0))
    uniforms = row_uniforms([5], 64 * DRAWS)[0].view(64, DRAWS)
    for filters_ in ({}, {"top_k": 3}, {"top_p": 0.1}, {"min_p": 0.9}):
        chosen = choose_tokens(logits, uniforms, _settings(64, temperature=0.0, **filters_))
        assert torch.equal(chosen, logits.argmax(dim=1))


def test_a_forbidden_token_is_never_drawn() -> None:
    logits = torch.zeros(4000, 8)
    logits[:, [0, 3]] = -torch.inf
    chosen = choose_tokens(
        logits, row_uniforms([2], 4000 * DRAWS)[0].view(4000, DRAWS), _settings(4000, temperature=5.0)
    )
    assert set(chosen.tolist()) == {1, 2, 4, 5, 6, 7}


def test_tokens_come_as_often_as_their_probability_says() -> None:
    # A stream of numbers from each of many seeds, as rows have them.
    uniforms = row_uniforms([derive_seed(11, row) for row in range(400)], 50 * DRAWS).view(-1, DRAWS)
    row = torch.randn(400, generator=torch.Generator().manual_seed(1)) * 1.5
    count = len(uniforms)
    chosen = choose_tokens(row.expand(count, -1), uniforms, _settings(count, temperature=0.8))
    expected = torch.softmax(row.double() * math.log(2) / 0.8, dim=0).numpy() * count
    frequent = expected >= 5
    counts = np.bincount(chosen.numpy(), minlength=400)
    observed = np.append(counts[frequent], counts[~frequent].sum())
    assert _p_value(observed, np.append(expected[frequent], expected[~frequent].sum())) > 0.01


def test_the_nucleus_is_drawn_in_proportion_and_nothing_outside_it() -> None:
    count = 20_000
    logits = torch.tensor([0.5, 0.3, 0.15, 0.05]).log2().expand(count, -1)
    chosen = choose_tokens(logits, row_uniforms([4], count * DRAWS)[0].view(count, DRAWS), _settings(count, top_p=0.7))
    counts = Counter(chosen.tolist())
    assert set(counts) == {0, 1}
    assert _p_value(np.array([counts[0], counts[1]]), np.array([count * 0.625, count * 0.375])) > 0.01
