from __future__ import annotations

import torch

from tests.training.toy_sentences import toy_config, toy_sentences
from training.cvae.latent import encoded_mixture
from training.cvae.model import Cvae

SENTENCES = toy_sentences(90)


def _model() -> Cvae:
    torch.manual_seed(0)
    model = Cvae(toy_config())
    with torch.no_grad():
        model.posterior_head.weight.mul_(5)
    return model.eval()


def test_components_are_the_posteriors_of_sentences() -> None:
    model = _model()
    mixture = encoded_mixture(model, SENTENCES, seed=3, num_components=40)
    with torch.no_grad():
        posterior = model.encode(SENTENCES.batch(range(len(SENTENCES))))
    assert len(mixture) == 40
    distance_NM = torch.cdist(mixture.means_NZ, posterior.mu, compute_mode="donot_use_mm_for_euclid_dist")
    nearest_N = distance_NM.argmin(dim=1)
    assert distance_NM.amin(dim=1).max() < 1e-4
    assert torch.allclose(mixture.scales_NZ, (0.5 * posterior.log_variance[nearest_N]).exp(), atol=1e-4)


def test_the_seed_chooses_the_sentences() -> None:
    model = _model()
    means = [encoded_mixture(model, SENTENCES, seed=seed, num_components=40).means_NZ for seed in (3, 3, 4)]
    assert torch.equal(means[0], means[1])
    assert not torch.equal(means[0], means[2])


def test_few_sentences_are_all_components() -> None:
    assert len(encoded_mixture(_model(), SENTENCES, seed=0)) == 90
