from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from training.cvae.renorm import BatchRenorm

SIZE = 5


def _batches(count: int, *, spread: float) -> list[Tensor]:
    """Batches whose means differ, as those of sentences of one length each do."""
    generator = torch.Generator().manual_seed(1)
    means = torch.randn(count, 1, SIZE, generator=generator) * spread
    return list(means + 0.5 + 0.03 * torch.randn(count, 64, SIZE, generator=generator))


def test_in_training_values_are_those_that_will_come_out_afterwards() -> None:
    norm = BatchRenorm(SIZE)
    batches = _batches(600, spread=0.02)
    for batch in batches:
        norm(batch)
    last = batches[-1]
    in_training = norm(last)
    assert torch.allclose(in_training, norm.eval()(last), atol=0.05)
    # Plain batch normalisation would have taken the batch's own mean out.
    assert not torch.allclose(in_training, nn.functional.batch_norm(last, None, None, training=True), atol=0.3)


def test_over_the_corpus_every_dimension_has_mean_0_and_variance_1() -> None:
    norm = BatchRenorm(SIZE)
    batches = _batches(600, spread=0.02)
    for batch in batches:
        norm(batch)
    out = norm.eval()(torch.cat(batches))
    assert torch.allclose(out.mean(dim=0), torch.zeros(SIZE), atol=0.1)
    assert torch.allclose(out.var(dim=0), torch.ones(SIZE), atol=0.15)


def test_gradients_are_those_of_batch_normalisation_so_shrinking_all_values_changes_nothing() -> None:
    norm = BatchRenorm(SIZE)
    for batch in _batches(50, spread=0.0):
        norm(batch)
    values = _batches(51, spread=0.0)[-1].requires_grad_()
    (norm(values) ** 3).sum().backward()
    assert values.grad is not None
    # Along the mean and along the scale of the batch there is no gradient.
    centred = (values - values.mean(dim=0)).detach()
    norm_of_gradient = values.grad.norm(dim=0)
    assert float((values.grad.sum(dim=0) / norm_of_gradient).abs().max()) < 1e-3
    assert float(((values.grad * centred).sum(dim=0) / norm_of_gradient / centred.norm(dim=0)).abs().max()) < 1e-3


def test_means_that_hardly_differ_are_brought_to_full_size() -> None:
    # What an encoder starts with: torch's own eps of 1e-5 would leave these at a third of it.
    tiny = torch.randn(64, SIZE, generator=torch.Generator().manual_seed(0)) * 1e-3
    assert torch.allclose(BatchRenorm(SIZE)(tiny).var(dim=0), torch.ones(SIZE), atol=0.05)


def test_a_batch_far_from_all_others_moves_by_a_bounded_step() -> None:
    norm = BatchRenorm(SIZE)
    for batch in _batches(200, spread=0.0):
        norm(batch)
    far = _batches(1, spread=0.0)[0] * 3 + 100
    assert float(norm(far).mean(dim=0).abs().max()) <= 3 + 1e-4


def test_statistics_travel_under_the_names_that_batch_normalisation_has() -> None:
    plain = nn.BatchNorm1d(SIZE, affine=False)
    assert set(BatchRenorm(SIZE).state_dict()) == set(plain.state_dict())
    norm = BatchRenorm(SIZE)
    norm(_batches(1, spread=0.0)[0])
    other = BatchRenorm(SIZE)
    other.load_state_dict(norm.state_dict())
    values = torch.randn(3, SIZE)
    assert torch.equal(other.eval()(values), norm.eval()(values))


@pytest.mark.parametrize("scale", [1e-2, 1.0, 1e4])
def test_the_scale_of_the_values_does_not_matter(scale: float) -> None:
    one, other = BatchRenorm(SIZE), BatchRenorm(SIZE)
    for batch in _batches(20, spread=0.01):
        assert torch.allclose(one(batch), other(batch * scale), atol=1e-2)
