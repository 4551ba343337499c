from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from tests.training.toy_sentences import NUM_TOKENS, toy_config, toy_sentences
from training.cvae import Cvae, Posterior
from training.cvae_scores import importance_weighted_nll, mutual_information, score_cvae

VALID = toy_sentences(80, seed=1)


@pytest.fixture
def model() -> Cvae:
    torch.manual_seed(0)
    return Cvae(toy_config())


def _forget_the_sentence(model: Cvae) -> None:
    """Make the posterior the prior, whatever the sentence."""
    with torch.no_grad():
        model.posterior_head.weight.zero_()
        model.posterior_head.bias.zero_()


def test_scores_are_the_elbo_and_its_parts_whatever_the_batch_size(model: Cvae) -> None:
    scores = score_cvae(model, VALID, batch_size=80)
    assert scores.elbo == pytest.approx(scores.reconstruction - scores.kl)
    assert scores.perplexity_bound == pytest.approx(math.exp(-scores.elbo * len(VALID) / VALID.num_tokens), rel=1e-6)
    assert scores.bits_per_character == pytest.approx(-scores.elbo * len(VALID) / math.log(2) / VALID.num_characters)
    # One z per sentence is drawn; other batches draw others, so the figures agree loosely and the KL exactly.
    other = score_cvae(model, VALID, batch_size=7)
    assert other.kl == pytest.approx(scores.kl, rel=1e-4)
    assert other.elbo == pytest.approx(scores.elbo, rel=1e-2)
    assert score_cvae(model, VALID, batch_size=80) == scores
    # An untrained model cannot know more than that all tokens are equally likely.
    assert scores.perplexity_bound > NUM_TOKENS / 3
    assert set(scores.metrics("valid")) >= {"valid.elbo", "valid.kl", "valid.active_units"}


def test_active_units_are_the_dimensions_whose_mean_varies(model: Cvae) -> None:
    _forget_the_sentence(model)
    assert score_cvae(model, VALID, batch_size=16).active_units == 0
    with torch.no_grad():
        model.posterior_head.weight[:2] = 20.0
    assert score_cvae(model, VALID, batch_size=16).active_units == 2


def test_a_posterior_that_says_nothing_has_no_information_and_no_kl(model: Cvae) -> None:
    _forget_the_sentence(model)
    scores = score_cvae(model, VALID, batch_size=16)
    assert scores.mutual_information == pytest.approx(0.0, abs=1e-5)
    assert scores.kl == pytest.approx(0.0, abs=1e-6)


@pytest.mark.parametrize("signal", [0.3, 1.0, 2.0])
def test_mutual_information_is_that_of_a_linear_gaussian_channel(signal: float) -> None:
    torch.manual_seed(0)
    # z = x + noise, x normal with variance signal^2 and noise with 1: I = ln(1 + signal^2) / 2 nats per dimension.
    posterior = Posterior(mu=signal * torch.randn(2000, 3), log_variance=torch.zeros(2000, 3))
    exact = 3 * 0.5 * math.log(1 + signal**2)
    assert mutual_information(posterior, mixture_size=2000) == pytest.approx(exact, abs=0.15)
    # Not all dimensions need the same noise.
    scale = torch.tensor([0.1, 1.0, 5.0])
    scaled = Posterior(mu=posterior.mu * scale, log_variance=posterior.log_variance + 2 * scale.log())
    assert mutual_information(scaled, mixture_size=2000) == pytest.approx(exact, abs=0.15)


@pytest.mark.parametrize("size", [16, 64, 1024])
def test_mutual_information_is_capped_at_the_logarithm_of_the_mixtures_size(size: int) -> None:
    # Every sentence has a place of its own, so z tells exactly which of the mixture's it was.
    posterior = Posterior(mu=torch.arange(2000.0).unsqueeze(1) * 100, log_variance=torch.zeros(2000, 1))
    assert mutual_information(posterior, mixture_size=size) == pytest.approx(math.log(size), abs=1e-4)


@torch.no_grad()
def _reconstruction_nll(model: Cvae, z_size: int) -> np.ndarray:
    """-log p(x | z = 0, a) of each sentence."""
    nll = np.zeros(len(VALID))
    for index in range(len(VALID)):
        nll[index] = -float(model.token_log_probs(VALID.batch([index]), torch.zeros(1, z_size))[0].sum())
    return nll


def _ignore_z(model: Cvae) -> None:
    """Cut every way from z to the words."""
    config = model.decoder.config
    with torch.no_grad():
        model.decoder.initial_state.weight[:, : config.z_size] = 0.0
        model.decoder.lstm.get_parameter("weight_ih_l0")[
            :, config.embedding_size : config.embedding_size + config.z_size
        ] = 0.0
        model.decoder.projection.weight[:, config.hidden_size : config.hidden_size + config.z_size] = 0.0


def test_where_posterior_and_prior_are_one_and_z_says_nothing_it_is_the_reconstruction(model: Cvae) -> None:
    _forget_the_sentence(model)
    _ignore_z(model)
    nll = importance_weighted_nll(model, VALID, num_samples=3)
    assert nll == pytest.approx(_reconstruction_nll(model, 6), abs=1e-4)


def test_where_z_says_nothing_a_wrong_posterior_costs_the_bound_but_hardly_the_likelihood(model: Cvae) -> None:
    _ignore_z(model)
    with torch.no_grad():
        model.posterior_head.bias[:6] = 0.4
    exact = _reconstruction_nll(model, 6)
    assert -score_cvae(model, VALID, batch_size=16).elbo > exact.mean() + 0.3
    few = importance_weighted_nll(model, VALID, num_samples=2)
    many = importance_weighted_nll(model, VALID, num_samples=500)
    # On average an upper bound, and closer with more samples (Burda 2016, theorem 1).
    assert few.mean() > many.mean()
    assert many.mean() == pytest.approx(exact.mean(), abs=0.05)


def test_one_sample_gives_the_elbo_on_average(model: Cvae) -> None:
    means = [importance_weighted_nll(model, VALID, num_samples=1, seed=seed).mean() for seed in range(5)]
    assert np.mean(means) == pytest.approx(-score_cvae(model, VALID, batch_size=16).elbo, abs=0.1)


def test_the_likelihood_is_the_one_that_a_grid_over_z_gives() -> None:
    torch.manual_seed(0)
    config = toy_config()
    model = Cvae(type(config)(**{name: getattr(config, name) for name in config.__slots__} | {"z_size": 1}))
    with torch.no_grad():
        model.decoder.projection.weight[:, config.hidden_size].mul_(8)
        model.posterior_head.bias[0] = 0.3
    few = toy_sentences(12, seed=3)
    grid_S = torch.linspace(-7, 7, 1401)
    exact = np.zeros(len(few))
    for index in range(len(few)):
        batch = few.batch([index] * len(grid_S))
        with torch.no_grad():
            log_prob_P, rows_P = model.token_log_probs(batch, grid_S.unsqueeze(1))
        log_prob_S = torch.zeros(len(grid_S)).index_add_(0, rows_P, log_prob_P)
        log_prior_S = -0.5 * grid_S**2 - 0.5 * math.log(2 * math.pi)
        exact[index] = -float(torch.logsumexp(log_prob_S + log_prior_S, dim=0)) - math.log(0.01)
    assert importance_weighted_nll(model, few, num_samples=2000) == pytest.approx(exact, abs=0.05)
    assert np.ptp(exact) > 1.0


def test_the_likelihood_is_the_same_however_the_work_is_cut(model: Cvae) -> None:
    # One sample is drawn for many sentences at once, 500 for one.
    first = importance_weighted_nll(model, VALID, num_samples=300, seed=4)
    again = importance_weighted_nll(model, VALID, num_samples=300, seed=4)
    other = importance_weighted_nll(model, VALID, num_samples=300, seed=5)
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
    assert first == pytest.approx(other, abs=0.5)
