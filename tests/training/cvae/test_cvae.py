from __future__ import annotations

import dataclasses

import pytest
import torch
from torch.distributions import Normal, kl_divergence

from handlers.model.vocabulary import BOS_ID, EOS_ID, PAD_ID, UNK_ID
from tests.training.toy_sentences import NUM_TOKENS, toy_config, toy_sentences
from training.cvae.batches import Batch
from training.cvae.model import Cvae, Posterior
from training.cvae.noise import StepNoise
from training.cvae.output_loss import VocabularySampler

SENTENCES = toy_sentences(400)


@pytest.fixture
def model() -> Cvae:
    torch.manual_seed(0)
    model = Cvae(toy_config())
    with torch.no_grad():
        model.posterior_head.weight.mul_(5)
    return model.eval()


@pytest.fixture
def batch() -> Batch:
    return SENTENCES.batch([0, 5, 100, 7, 300])


def _noise(batch: Batch, **shares: float) -> StepNoise:
    steps, rows = batch.tokens_TB.shape
    return StepNoise(rows=rows, steps=steps, shard=slice(0, rows), **{"dropout": 0.0, "word_dropout": 0.0} | shares)


def test_the_kl_is_that_of_two_normal_distributions() -> None:
    mu, log_variance = torch.randn(50, 7) * 2, torch.randn(50, 7) * 2
    expected = kl_divergence(Normal(mu, torch.exp(0.5 * log_variance)), Normal(0.0, 1.0))
    assert torch.allclose(
        Posterior(mu=mu, log_variance=log_variance).kl_per_dimension(), expected, rtol=1e-4, atol=1e-5
    )


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
def test_normalised_means_have_the_asked_spread_in_every_dimension() -> None:
    torch.manual_seed(0)
    model = Cvae(toy_config(), mu_scale=0.6).train()
    with torch.no_grad():
        model.posterior_head.weight.mul_(10)
    mu_BZ = model.encode(SENTENCES.batch(range(200))).mu
    assert torch.allclose(mu_BZ.std(dim=0, correction=0), torch.full((6,), 0.6), atol=1e-2)
    assert torch.allclose(mu_BZ.mean(dim=0), torch.zeros(6), atol=1e-5)
    # So KL stays above Z mu_scale^2 / 2, whatever the encoder does.
    posterior = model.encode(SENTENCES.batch(range(200)))
    assert float(posterior.kl_per_dimension().sum(dim=1).mean()) >= 6 * 0.6**2 / 2 - 1e-3


def test_padding_changes_neither_posterior_nor_log_probabilities(model: Cvae) -> None:
    short, long = int(SENTENCES.lengths_N.argmin()), int(SENTENCES.lengths_N.argmax())
    alone, beside = SENTENCES.batch([short]), SENTENCES.batch([short, long])
    assert bool((beside.tokens_TB[:, 0] == PAD_ID).any())
    assert int(beside.tokens_TB[SENTENCES.lengths_N[short] - 1, 0]) == EOS_ID
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


@torch.no_grad()
def test_what_a_step_descends_is_minus_the_sum_of_the_log_probabilities(model: Cvae, batch: Batch) -> None:
    z_BZ = torch.randn(5, 6)
    expected = -float(model.token_log_probs(batch, z_BZ)[0].sum())
    assert float(model.reconstruction(batch, z_BZ)) == pytest.approx(expected, rel=1e-5)
    # A sample of the vocabulary that holds all of it changes nothing.
    everything = VocabularySampler(SENTENCES.token_counts(NUM_TOKENS), NUM_TOKENS).draw(batch.tokens_TB)
    assert float(model.reconstruction(batch, z_BZ, sample=everything)) == pytest.approx(expected, rel=1e-5)
    # Products in bfloat16 keep eight bits of every factor.
    assert float(model.reconstruction(batch, z_BZ, bf16=True)) == pytest.approx(expected, rel=1e-2)


def test_a_sampled_vocabulary_trains_the_tokens_that_were_drawn_and_the_same_targets(model: Cvae, batch: Batch) -> None:
    torch.manual_seed(3)
    part = VocabularySampler(SENTENCES.token_counts(NUM_TOKENS), 20).draw(batch.tokens_TB[batch.tokens_TB != PAD_ID])
    model.reconstruction(batch, torch.randn(5, 6), sample=part).backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
    gradient_V = model.decoder.output_bias.grad
    assert gradient_V is not None
    targets = sorted(set(batch.tokens_TB[batch.tokens_TB != PAD_ID].tolist()))
    assert bool((gradient_V[targets] != 0).all())
    assert len(targets) < int((gradient_V != 0).sum()) < NUM_TOKENS


@torch.no_grad()
def test_word_dropout_hides_inputs_but_never_targets_or_the_start(model: Cvae, batch: Batch) -> None:
    z_BZ = torch.zeros(5, 6)
    hidden = model.reconstruction(batch, z_BZ, noise=_noise(batch, word_dropout=1.0))
    # Inputs that are all the unknown mark behind the start give that very loss, with the targets as they are.
    blind = dataclasses.replace(batch, tokens_TB=torch.where(batch.tokens_TB == PAD_ID, PAD_ID, UNK_ID))
    context_BC = torch.cat((z_BZ, model.decoder.embed_genres(batch.genres_G, batch.offsets_B)), dim=1)
    inputs_TB = torch.cat((torch.full_like(batch.tokens_TB[:1], BOS_ID), blind.tokens_TB[:-1]))
    projected = model.decoder(model.decoder.token_embedding(inputs_TB), context_BC)
    log_prob = torch.log_softmax(model.decoder.logits(projected), dim=2)
    real = batch.tokens_TB != PAD_ID
    expected = -float(log_prob.gather(2, batch.tokens_TB.unsqueeze(2)).squeeze(2)[real].sum())
    assert float(hidden) == pytest.approx(expected, rel=1e-5)
    assert float(hidden) != pytest.approx(float(model.reconstruction(batch, z_BZ)), rel=1e-3)


def test_encoder_and_decoder_share_one_token_embedding(model: Cvae) -> None:
    names = [name for name, _ in model.named_parameters() if "token_embedding" in name]
    assert names == ["decoder.token_embedding.weight"]
