from __future__ import annotations

import dataclasses

import pytest
import torch
from torch.distributions import Normal, kl_divergence

from handlers.vocabulary import BOS_ID, EOS_ID, PAD_ID
from tests.training.conftest import SampleCorpus
from training.batches import Batch
from training.cvae import Cvae, Posterior


@pytest.fixture
def model(sample_corpus: SampleCorpus) -> Cvae:
    torch.manual_seed(0)
    model = Cvae(sample_corpus.config(), dropout=0.3)
    with torch.no_grad():
        model.posterior_head.weight.mul_(5)
    return model.eval()


@pytest.fixture
def batch(sample_corpus: SampleCorpus) -> Batch:
    return sample_corpus.train.batch([0, 5, 100, 7, 300])


def test_the_kl_is_that_of_two_normal_distributions() -> None:
    mu, log_variance = torch.randn(50, 7) * 2, torch.randn(50, 7) * 2
    expected = kl_divergence(Normal(mu, torch.exp(0.5 * log_variance)), Normal(0.0, 1.0))
    assert torch.allclose(Posterior(mu=mu, log_variance=log_variance).kl_BZ(), expected, rtol=1e-4, atol=1e-5)


def test_samples_of_the_posterior_have_its_mean_and_variance_and_carry_gradients() -> None:
    torch.manual_seed(0)
    mu = torch.tensor([[1.0, -2.0]], requires_grad=True)
    log_variance = torch.tensor([[0.0, 2.0]], requires_grad=True)
    drawn = Posterior(mu=mu.expand(20_000, 2), log_variance=log_variance.expand(20_000, 2)).sample()
    assert torch.allclose(drawn.mean(dim=0), mu[0], atol=0.08)
    assert torch.allclose(drawn.var(dim=0), log_variance[0].exp(), rtol=0.05)
    (drawn**2).mean().backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
    assert mu.grad is not None
    assert log_variance.grad is not None
    assert bool((mu.grad != 0).all() and (log_variance.grad != 0).all())


@torch.no_grad()
def test_log_probabilities_are_those_of_a_loop_over_sentences_and_words(model: Cvae, batch: Batch) -> None:
    z_BZ = torch.randn(5, 6)
    log_prob_P, rows_P = model.token_log_probs(batch, z_BZ)
    decoder = model.decoder
    ends = [*batch.offsets_B.tolist()[1:], len(batch.genres_G)]
    for row in range(5):
        genres = decoder.genre_embedding.weight[batch.genres_G[batch.offsets_B[row] : ends[row]]].mean(dim=0)
        context = torch.cat((z_BZ[row], genres)).unsqueeze(0)
        state = tuple(each.unsqueeze(0) for each in decoder.start(context))
        token, expected = BOS_ID, []
        for target in batch.tokens_TB[: batch.lengths_B[row], row].tolist():
            step = torch.cat((decoder.token_embedding(torch.tensor([token])), context), dim=1)
            hidden, state = decoder.lstm(step.unsqueeze(0), state)
            logits = decoder.logits(decoder.projection(torch.cat((hidden[0], context), dim=1)))
            expected.append(float(torch.log_softmax(logits, dim=1)[0, target]))
            token = target
        assert log_prob_P[rows_P == row].tolist() == pytest.approx(expected, abs=1e-4)
    assert len(log_prob_P) == batch.num_tokens


@torch.no_grad()
def test_normalised_means_have_the_asked_spread_in_every_dimension(sample_corpus: SampleCorpus) -> None:
    torch.manual_seed(0)
    model = Cvae(sample_corpus.config(), mu_scale=0.6).train()
    with torch.no_grad():
        model.posterior_head.weight.mul_(10)
    mu_BZ = model.encode(sample_corpus.train.batch(range(200))).mu
    assert torch.allclose(mu_BZ.std(dim=0, correction=0), torch.full((6,), 0.6), atol=1e-2)
    assert torch.allclose(mu_BZ.mean(dim=0), torch.zeros(6), atol=1e-5)
    # So KL stays above Z mu_scale^2 / 2, whatever the encoder does.
    posterior = model.encode(sample_corpus.train.batch(range(200)))
    assert float(posterior.kl_BZ().sum(dim=1).mean()) >= 6 * 0.6**2 / 2 - 1e-3


def test_padding_changes_neither_posterior_nor_log_probabilities(model: Cvae, sample_corpus: SampleCorpus) -> None:
    train = sample_corpus.train
    short, long = int(train.lengths_N.argmin()), int(train.lengths_N.argmax())
    alone, beside = train.batch([short]), train.batch([short, long])
    assert bool((beside.tokens_TB[:, 0] == PAD_ID).any())
    assert int(beside.tokens_TB[train.lengths_N[short] - 1, 0]) == EOS_ID
    assert torch.allclose(model.encode(alone).mu, model.encode(beside).mu[:1], atol=1e-5)
    z_BZ = torch.zeros(2, 6)
    log_prob_P, rows_P = model.token_log_probs(beside, z_BZ)
    assert torch.allclose(model.token_log_probs(alone, z_BZ[:1])[0], log_prob_P[rows_P == 0], atol=1e-5)


def test_genres_change_what_the_decoder_says_and_nothing_of_the_encoder(model: Cvae, batch: Batch) -> None:
    other = dataclasses.replace(batch, genres_G=(batch.genres_G % 3) + 1)
    assert not torch.equal(other.genres_G, batch.genres_G)
    one, two = model.encode(batch), model.encode(other)
    assert torch.equal(one.mu, two.mu)
    assert torch.equal(one.log_variance, two.log_variance)
    assert not torch.allclose(model.token_log_probs(batch, one.mu)[0], model.token_log_probs(other, one.mu)[0])


def test_z_changes_what_the_decoder_says(model: Cvae, batch: Batch) -> None:
    zero = model.token_log_probs(batch, torch.zeros(5, 6))[0]
    assert not torch.allclose(model.token_log_probs(batch, torch.ones(5, 6))[0], zero)


def test_word_dropout_hides_inputs_but_never_targets_or_the_start(model: Cvae, batch: Batch) -> None:
    z_BZ = torch.zeros(5, 6)
    hidden, rows_P = model.token_log_probs(batch, z_BZ, word_dropout=1.0)
    plain, _ = model.token_log_probs(batch, z_BZ)
    assert len(hidden) == len(plain) == batch.num_tokens
    # The first word of each sentence follows the start mark, which is never hidden; later ones do change.
    first_P = torch.cat((torch.ones(5, dtype=torch.bool), torch.zeros(len(plain) - 5, dtype=torch.bool)))
    assert torch.allclose(hidden[first_P], plain[first_P], atol=1e-6)
    assert not torch.allclose(hidden[~first_P], plain[~first_P], atol=1e-3)
    assert rows_P[:5].tolist() == list(range(5))


def test_encoder_and_decoder_share_one_token_embedding(model: Cvae) -> None:
    names = [name for name, _ in model.named_parameters() if "token_embedding" in name]
    assert names == ["decoder.token_embedding.weight"]
