import torch

from handlers.random_numbers import row_uniforms
from tests.handlers.gpu.probes import uniforms_kernel


def test_a_kernel_has_the_random_numbers_of_the_host(device: torch.device) -> None:
    seeds = [0, 1, 99, 2**32 - 1, 2**32, 2**63 - 1, 0x1234567890ABCDEF]
    places = torch.tensor([0, 1, 2, 3, 4, 5, 31, 32, 33, 35, 543, 544], dtype=torch.int32).repeat(len(seeds), 1)
    found = torch.zeros(places.shape, dtype=torch.float64, device=device)
    uniforms_kernel[(len(seeds),)](torch.tensor(seeds, device=device), places.to(device), found, N=places.shape[1])
    expected = row_uniforms(seeds, 545).gather(1, places.long())
    assert torch.equal(found.cpu(), expected)
    assert float(found.min()) > 0
    assert float(found.max()) < 1
