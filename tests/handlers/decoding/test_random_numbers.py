from __future__ import annotations

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from handlers.contract import MAX_SEED
from handlers.decoding.random_numbers import derive_seed, row_uniforms, standard_normals
from tests.handlers.counts import p_value

seeds = st.integers(0, MAX_SEED)


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
    assert p_value(np.histogram(numbers, 100, (0, 1))[0], even) > 0.01
    # The distribution function brings normal numbers back to uniform ones.
    back = torch.special.ndtr(standard_normals(numbers))
    assert p_value(np.histogram(back, 100, (0, 1))[0], even) > 0.01
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
