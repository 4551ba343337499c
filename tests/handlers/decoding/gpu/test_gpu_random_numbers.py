import torch

from handlers.decoding.engine import Engine, SequenceSpec
from handlers.decoding.random_numbers import derive_seed, row_uniforms
from tests.handlers.decoding.gpu.probes import places_kernel
from tests.handlers.tiny_bundles import tiny_bundle


def test_a_kernel_has_the_random_numbers_of_the_host(device: torch.device) -> None:
    seeds = [0, 1, 99, 2**32 - 1, 2**32, 2**63 - 1, 0x1234567890ABCDEF]
    places = torch.tensor([0, 1, 2, 3, 4, 5, 31, 32, 33, 35, 543, 544], dtype=torch.int32).repeat(len(seeds), 1)
    found = torch.zeros(places.shape, dtype=torch.float64, device=device)
    places_kernel[(len(seeds),)](torch.tensor(seeds, device=device), places.to(device), found, N=places.shape[1])
    expected = row_uniforms(seeds, 545).gather(1, places.long())
    assert torch.equal(found.cpu(), expected)
    assert float(found.min()) > 0
    assert float(found.max()) < 1


def test_thought_vectors_are_those_of_the_host(device: torch.device) -> None:
    rows = [SequenceSpec(genres=(1,), seed=derive_seed(5, number)) for number in range(9)]
    found = Engine(tiny_bundle(generator=True), device=device, kernels=True, slots=9).latent_vectors(rows)
    expected = Engine(tiny_bundle(generator=True)).latent_vectors(rows)
    assert torch.allclose(found.cpu(), expected, atol=1e-6)
