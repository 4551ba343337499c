from __future__ import annotations

import math

import pytest
import torch

from tests.training.cvae.toy_training import forget_the_sentence
from tests.training.toy_sentences import NUM_TOKENS, toy_sentences
from training.cvae.model import Cvae, Posterior
from training.cvae.scores import mutual_information, score_cvae

VALID = toy_sentences(80, seed=1)


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
    forget_the_sentence(model)
    assert score_cvae(model, VALID, batch_size=16).active_units == 0
    with torch.no_grad():
        model.posterior_head.weight[:2] = 20.0
    assert score_cvae(model, VALID, batch_size=16).active_units == 2


def test_a_posterior_that_says_nothing_has_no_information_and_no_kl(model: Cvae) -> None:
    forget_the_sentence(model)
    scores = score_cvae(model, VALID, batch_size=16)
    assert scores.mutual_information == pytest.approx(0.0, abs=1e-5)
    assert scores.kl == pytest.approx(0.0, abs=1e-6)


@pytest.mark.slow
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
