"""Toy world: real sentences count upwards, samples jump; two topics, of which samples prefer the first."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from handlers.model.bundle import Bundle
from handlers.model.discriminator import Discriminator
from handlers.model.vocabulary import PAD_ID
from tests.handlers.tiny_bundles import tiny_bundle
from training.acceptability.samples import Sentences
from training.acceptability.training import DiscriminatorScores, new_network, padded, train_discriminator
from training.progress import silent
from training.settings import AcceptabilitySettings
from training.tracking.curves import RecordingRun
from training.tracking.port import NullTracker

SETTINGS = AcceptabilitySettings(
    embedding_size=16, num_filters=8, hidden_size=16, epochs=3, batch_size=32, learning_rate=1e-2, dropout=0.1
)
FIRST_WORD = 12
TOPIC_SIZE = 28
"""Number of words of each topic."""


def _sentences(count: int, *, jumps: float, share_of_first: float, seed: int) -> Sentences:
    """Sentences in which this share of the steps is a jump to another word of the topic."""
    random = np.random.default_rng(seed)
    topics = (random.random(count) >= share_of_first).astype(int)
    ids = []
    for topic in topics:
        place = int(random.integers(TOPIC_SIZE))
        sentence = []
        for _ in range(random.integers(6, 14)):
            sentence.append(FIRST_WORD + topic * TOPIC_SIZE + place)
            place = int(random.integers(TOPIC_SIZE)) if random.random() < jumps else (place + 1) % TOPIC_SIZE
        ids.append(tuple(sentence))
    shares = np.where(topics == 0, 0.9, 0.1)
    return Sentences(ids=ids, topics_NK=np.stack([shares, 1 - shares], axis=1).astype(np.float32))


def _world(*, jumps: float, seed: int, count: int = 800) -> tuple[Sentences, Sentences]:
    real = _sentences(count, jumps=0.05, share_of_first=0.3, seed=seed)
    return real, _sentences(count, jumps=jumps, share_of_first=0.8, seed=seed + 1)


def _train(
    bundle: Bundle, *, jumps: float = 0.5, seed: int = 3, settings: AcceptabilitySettings = SETTINGS
) -> tuple[Discriminator, DiscriminatorScores, RecordingRun]:
    with NullTracker().run("acceptability-cvae") as null:
        run = RecordingRun(null)
    world, held_out = _world(jumps=jumps, seed=10), _world(jumps=jumps, seed=20, count=400)
    discriminator, scores = train_discriminator(bundle, world, held_out, settings, seed=seed, run=run, progress=silent)
    return discriminator, scores, run


@pytest.fixture(scope="module")
def trained() -> tuple[Discriminator, DiscriminatorScores, RecordingRun]:
    return _train(tiny_bundle())


@pytest.mark.slow
def test_samples_that_jump_are_told_from_real_sentences_and_the_log_odds_are_right(
    trained: tuple[Discriminator, DiscriminatorScores, RecordingRun],
) -> None:
    discriminator, scores, run = trained
    assert scores.auc > 0.95
    assert scores.nats < 0.35
    assert [step for step, _ in run.curve("discriminator.auc")] == [0, 1, 2]
    curve = run.curve("discriminator.train_nats")
    assert curve[-1][1] < curve[0][1]
    real, samples = (np.array(discriminator.logits(each.ids)) for each in _world(jumps=0.5, seed=30))
    assert real.mean() > 1 > -1 > samples.mean()


@pytest.mark.slow
def test_a_sentence_is_judged_by_its_making_and_not_by_its_topic(
    trained: tuple[Discriminator, DiscriminatorScores, RecordingRun],
) -> None:
    discriminator, scores, _ = trained
    assert scores.kind_auc < 0.6
    assert scores.explained < 0.2
    well_made = _sentences(400, jumps=0.0, share_of_first=0.5, seed=40)
    log_odds = np.array(discriminator.logits(well_made.ids))
    first = well_made.topics_NK[:, 0] > 0.5
    # Three of ten real sentences and eight of ten samples are of the first topic. By their numbers alone, its log odds
    # are 2.2 lower than those of the second.
    assert abs(log_odds[first].mean() - log_odds[~first].mean()) < 1.5


@pytest.mark.slow
def test_where_only_the_kinds_differ_nothing_is_learned() -> None:
    _, scores, _ = _train(tiny_bundle(), jumps=0.05)
    assert scores.auc == pytest.approx(0.5, abs=0.06)
    assert scores.nats == pytest.approx(np.log(2), abs=0.02)


@pytest.mark.slow
def test_the_same_seed_gives_the_same_weights_and_another_seed_others() -> None:
    settings = AcceptabilitySettings(embedding_size=8, num_filters=4, hidden_size=8, epochs=1)
    first, second, other = (_train(tiny_bundle(), seed=seed, settings=settings)[0].tensors() for seed in (3, 3, 4))
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert not all(torch.equal(first[name], other[name]) for name in first)


def test_an_untrained_network_knows_the_decoders_tokens_and_padding_is_zero() -> None:
    bundle = tiny_bundle()
    torch.manual_seed(0)
    network = new_network(bundle, SETTINGS).requires_grad_(requires_grad=False)
    assert network.token_embedding.weight.shape == (len(bundle.vocabulary), 16)
    assert not network.token_embedding.weight[PAD_ID].any()
    assert float(network.token_embedding.weight.std()) == pytest.approx(1, abs=0.1)
    # A token's neighbours in the decoder are its neighbours here.
    known, projected = bundle.decoder.token_embedding.weight[1:], network.token_embedding.weight[1:]
    pairs = np.triu_indices(len(known), 1)
    distances = [torch.cdist(each, each).numpy()[pairs] for each in (known, projected)]
    assert np.corrcoef(distances)[0, 1] > 0.5


def test_a_batch_is_padded_behind_the_end_mark() -> None:
    assert padded([(5, 6), (), (7,)]).tolist() == [[1, 5, 6, 2], [1, 2, 0, 0], [1, 7, 2, 0]]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"num_samples": 5}, "num_samples must be at least 20, got 5"),
        ({"held_out_samples": 0}, "held_out_samples must be at least 20"),
        ({"epochs": 0}, "epochs must be at least 1"),
        ({"dropout": 1.0}, "dropout must be between 0 and 0.95"),
        ({"learning_rate": 0.0}, "learning_rate must be between"),
    ],
)
def test_settings_out_of_range_are_refused(changes: dict[str, float], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        AcceptabilitySettings(**changes)  # type: ignore[arg-type]  # wrong on purpose
