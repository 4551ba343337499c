import numpy as np
import pytest
import torch

from handlers.decoding.ending import has_ended
from handlers.decoding.random_numbers import row_uniforms
from handlers.decoding.sampling.filters import SamplingSettings
from handlers.decoding.sampling.sampler import DRAWS, TokenWeights
from tests.handlers.decoding.gpu.probes import draw_kernel, end_kernel, likeliest_kernel, order_kernel

WIDTH = 128


def _weights(rows: int, seed: int) -> torch.Tensor:
    """Powers of two from 1 down to 2^-7 with many alike, and some zeros: their sums are exact in any order."""
    generator = torch.Generator().manual_seed(seed)
    powers = torch.randint(0, 8, (rows, WIDTH), generator=generator)
    weights = torch.exp2(-powers.float()) * (torch.rand(rows, WIDTH, generator=generator) < 0.9)
    weights[:, 17] = 1.0
    return weights


def test_a_sum_in_falling_order_is_reached_where_a_sort_says(device: torch.device) -> None:
    weights = _weights(20, seed=0)
    totals = weights.sum(dim=1)
    # Between two values that a sum may have, on one, beyond all, and next to nothing.
    share = torch.rand(20, generator=torch.Generator().manual_seed(1))
    aims = ((share * totals * 128).floor() + 0.5) / 128
    aims[:3] = torch.stack((totals[0], totals[1] * 2, torch.tensor(1e-30)))
    aims[3] = weights[3].sort(descending=True).values[:5].sum()
    token, total = torch.zeros(20, dtype=torch.int32, device=device), torch.zeros(20, device=device)
    order_kernel[(20,)](weights.to(device), aims.to(device), token, total, V=WIDTH)
    sorted_RV, ids_RV = weights.double().sort(dim=1, descending=True, stable=True)
    sums_RV = sorted_RV.cumsum(1)
    place = (sums_RV < aims.clamp(max=totals).double().unsqueeze(1)).sum(1, keepdim=True)
    assert token.tolist() == ids_RV.gather(1, place).squeeze(1).tolist()
    assert total.tolist() == sums_RV.gather(1, place).squeeze(1).tolist()


def test_of_equal_weights_the_first_are_the_likeliest_as_in_a_stable_sort(device: torch.device) -> None:
    weights = _weights(10, seed=2)
    numbers = torch.tensor([1, 2, 3, 5, 40, 100, 127, 128, 500, 7], dtype=torch.int32)
    kept = torch.zeros_like(weights, device=device)
    likeliest_kernel[(10,)](weights.to(device), numbers.to(device), kept, V=WIDTH)
    order = weights.sort(dim=1, descending=True, stable=True).indices
    rank = order.argsort(dim=1)
    assert torch.equal(kept.cpu(), torch.where(rank < numbers.unsqueeze(1), weights, 0.0))


FILTERS = [
    {},
    {"top_p": 0.92},
    {"top_p": 0.6},
    {"top_p": 0.3},
    {"top_p": 1e-6},
    {"min_p": 0.1},
    {"min_p": 0.1, "top_p": 0.7},
    {"min_p": 0.5},
    {"min_p": 0.5, "top_p": 0.5},
    {"top_k": 1},
    {"top_k": 9},
    {"top_k": 9, "top_p": 0.8},
    {"top_k": 40, "top_p": 0.8, "min_p": 0.05},
    {"top_k": 200},
]


@pytest.mark.slow
@pytest.mark.parametrize("filters", FILTERS, ids=str)
def test_a_kernel_draws_the_tokens_that_the_host_draws(filters: dict[str, float], device: torch.device) -> None:
    # The host's draw is held against the filters in float64 by tests of its own.
    count = 14
    weights = _weights(count, seed=3)
    weights[0], weights[1, 18:] = 1.0, 0.0
    seeds = list(range(100, 100 + count))
    place = torch.arange(count, dtype=torch.int32)
    numbers = row_uniforms(seeds, count + DRAWS).numpy()
    uniforms = np.stack([numbers[row, row : row + DRAWS] for row in range(count)])
    settings = SamplingSettings(
        temperature=np.ones(count),
        top_k=np.full(count, float(filters.get("top_k", 0))),
        top_p=np.full(count, filters.get("top_p", 1.0)),
        min_p=np.full(count, filters.get("min_p", 0.0)),
    )
    host = TokenWeights(settings, TokenWeights.memory(count, WIDTH, torch.device("cpu")))
    expected = host.choose(weights.log2(), np.zeros((count, 0), dtype=np.int64), uniforms)
    columns = torch.zeros(count, 4)
    columns[:, 1], columns[:, 2] = filters.get("top_p", 1.0), filters.get("min_p", 0.0)
    top_k = torch.full((count,), int(filters.get("top_k", 0)), dtype=torch.int32)
    token = torch.zeros(count, dtype=torch.int32)
    given = [each.to(device) for each in (weights, columns, top_k, torch.tensor(seeds), place, token)]
    draw_kernel[(count,)](*given, V=WIDTH)
    assert given[-1].tolist() == expected.tolist()


def test_where_everything_is_forbidden_a_sentence_ends(device: torch.device) -> None:
    weights, columns = torch.zeros(1, WIDTH, device=device), torch.ones(1, 4, device=device)
    one, token = torch.ones(1, dtype=torch.int32, device=device), torch.zeros(1, dtype=torch.int32, device=device)
    draw_kernel[(1,)](weights, columns, one, one.long(), one, token, V=WIDTH)
    assert token.tolist() == [2]


def test_the_kernels_end_rule_is_the_hosts(device: torch.device) -> None:
    cases = [each.ravel() for each in np.meshgrid([0, 1, 2, 3, 99], [1, 2, 7, 8, 9], [1, 2, 8])]
    ended = torch.zeros(len(cases[0]), dtype=torch.int32, device=device)
    end_kernel[(len(ended),)](*(torch.tensor(each, dtype=torch.int32, device=device) for each in cases), ended)
    assert ended.bool().tolist() == has_ended(*cases).tolist()
