from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.training.cvae.toy_training import forget_the_sentence
from tests.training.toy_sentences import toy_config, toy_sentences
from training.cvae.likelihood import importance_weighted_nll
from training.cvae.model import Cvae
from training.cvae.scores import score_cvae
from training.errors import CheckpointError
from training.progress import Progress

VALID = toy_sentences(60, seed=1)


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
    forget_the_sentence(model)
    _ignore_z(model)
    nll = importance_weighted_nll(model, VALID, num_samples=3)
    assert nll == pytest.approx(_reconstruction_nll(model, 6), abs=1e-4)


@pytest.mark.slow
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


@pytest.mark.slow
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
    nll = importance_weighted_nll(model, few, num_samples=2000)
    assert nll == pytest.approx(exact, abs=0.15)
    assert nll.mean() == pytest.approx(exact.mean(), abs=0.03)
    assert np.ptp(exact) > 1.0


@pytest.mark.slow
def test_a_sentences_figure_depends_on_the_seed_and_its_place_and_on_no_other_sentence(model: Cvae) -> None:
    first = importance_weighted_nll(model, VALID, num_samples=300, seed=4)
    again = importance_weighted_nll(model, toy_sentences(60, seed=1), num_samples=300, seed=4)
    other = importance_weighted_nll(model, VALID, num_samples=300, seed=5)
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
    assert first == pytest.approx(other, abs=0.5)


def _stop_after(tokens: int) -> Progress:
    def tell(done: float, total: float, note: str) -> None:
        del total
        assert "perplexity" in note
        if done >= tokens:
            raise KeyboardInterrupt

    return tell


def test_work_that_was_interrupted_goes_on_from_its_file_to_the_same_figures(
    model: Cvae, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A minute is more than a test has.
    monkeypatch.setattr("training.cvae.likelihood._SAVE_EVERY_S", -1.0)
    with pytest.raises(KeyboardInterrupt):
        importance_weighted_nll(model, VALID, num_samples=20, folder=tmp_path, progress=_stop_after(200))
    seen: list[float] = []
    nll = importance_weighted_nll(
        model, VALID, num_samples=20, folder=tmp_path, progress=lambda done, _total, _note: seen.append(done)
    )
    assert seen[0] > 200
    assert seen[-1] == VALID.num_tokens
    assert np.array_equal(nll, importance_weighted_nll(model, VALID, num_samples=20))


def test_figures_of_another_model_seed_or_number_of_samples_are_kept_beside_each_other(
    model: Cvae, tmp_path: Path
) -> None:
    few = toy_sentences(3)
    for num_samples, seed in ((2, 0), (3, 0), (2, 1), (2, 0)):
        importance_weighted_nll(model, few, num_samples=num_samples, seed=seed, folder=tmp_path)
    assert len(list(tmp_path.iterdir())) == 3
    with torch.no_grad():
        model.decoder.output_bias.add_(1e-3)
    importance_weighted_nll(model, few, num_samples=2, folder=tmp_path)
    assert len(list(tmp_path.iterdir())) == 4


@pytest.mark.parametrize("size", [0, 50, 130])
def test_a_file_of_figures_cut_short_is_an_error_that_says_what_to_do(model: Cvae, tmp_path: Path, size: int) -> None:
    few = toy_sentences(3)
    importance_weighted_nll(model, few, num_samples=2, folder=tmp_path)
    (path,) = tmp_path.iterdir()
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(CheckpointError, match="remove it to score the sentences again"):
        importance_weighted_nll(model, few, num_samples=2, folder=tmp_path)
