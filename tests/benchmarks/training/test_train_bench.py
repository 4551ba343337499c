from __future__ import annotations

import sys
from dataclasses import replace
from types import FrameType

import numpy as np
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.training.train import (
    OriginalWay,
    TrainBenchPlan,
    forward_products,
    measure_training,
    padding_share,
    speed_table,
)
from tests.training.toy_sentences import NUM_TOKENS, toy_config, toy_sentences
from training.cvae.batches import PlainSentences
from training.cvae.loop import CvaeLoop
from training.cvae.model import Cvae
from training.settings import CvaeSettings

TRAIN = toy_sentences(200)
SETTINGS = CvaeSettings(
    embedding_size=16, hidden_size=16, encoder_size=12, z_size=6, genre_size=4, batch_size=32, sampled_vocabulary=30
)


@pytest.fixture
def model() -> Cvae:
    torch.manual_seed(0)
    return Cvae(toy_config(), encoder_size=12)


@torch.no_grad()
def test_the_originals_way_computes_the_very_loss_of_ours(model: Cvae) -> None:
    way, noise_BZ = OriginalWay(model), torch.randn(1, 6)
    for index in (0, 3, 50):
        batch = TRAIN.batch([index])
        posterior = model.encode(batch)
        ours = model.reconstruction(batch, posterior.sample(noise_BZ)) + posterior.kl_per_dimension().sum()
        assert float(way(batch, noise_BZ)) == pytest.approx(float(ours), rel=1e-5)


def test_the_originals_way_trains_weights_of_the_same_sizes(model: Cvae) -> None:
    sizes = [
        sorted(tuple(parameter.shape) for name, parameter in each.named_parameters() if name != "mu_shift")
        for each in (model, OriginalWay(model))
    ]
    assert sizes[0] == sizes[1]


@pytest.mark.slow
@torch.no_grad()
def test_the_formula_of_the_products_is_what_a_counter_of_operations_sees(model: Cvae) -> None:
    batch = TRAIN.batch([3])
    with FlopCounterMode(display=False) as counter:
        OriginalWay(model)(batch, torch.randn(1, 6))
    formula = forward_products(
        toy_config(), encoder_size=12, tokens=int(batch.lengths_B[0]), rows=1, outputs=NUM_TOKENS
    )
    assert formula == counter.get_total_flops()


def test_padding_is_the_share_of_cells_that_hold_no_token() -> None:
    batches = [TRAIN.batch(indices) for indices in TRAIN.bucketed(32, np.random.default_rng(4))]
    cells = sum(batch.tokens_TB.numel() for batch in batches)
    assert padding_share(TRAIN, 32, seed=4) == pytest.approx(1 - TRAIN.num_tokens / cells)
    alike = PlainSentences([[5, 6, 7]] * 40, num_characters=1)
    assert padding_share(alike, 8, seed=0) == 0.0


def test_a_step_runs_no_more_python_for_more_tokens() -> None:
    def calls(length: int) -> int:
        sentences = PlainSentences([[5] * length] * 16, num_characters=1)
        loop = CvaeLoop(model=Cvae(toy_config()), settings=replace(SETTINGS, encoder_size=0), train=sentences, seed=0)
        loop.step(np.arange(16))  # the optimizer makes its state in the first
        count = 0

        def seen(frame: FrameType, event: str, argument: object) -> None:
            nonlocal count
            del frame, argument
            count += event in ("call", "c_call")

        sys.setprofile(seen)
        try:
            loop.step(np.arange(16))
        finally:
            sys.setprofile(None)
        return count

    assert calls(3) == calls(30)


@pytest.mark.slow
def test_a_measurement_has_every_figure_and_its_ratios_fit() -> None:
    plan = TrainBenchPlan(rounds=3, steps=2, sentences=1)
    seen: list[float] = []
    speed = measure_training(
        toy_config(), SETTINGS, TRAIN, plan, progress=lambda done, _total, _note: seen.append(done)
    )
    assert seen == [1, 2, 3]
    figures = speed.figures()
    assert set(figures) >= {"tokens_per_s", "roofline", "vs_original", "padding"}
    assert all(value > 0 for value in figures.values())
    assert speed.roofline < 1.0
    assert speed.vs_original > 1.0
    assert speed.padding == padding_share(TRAIN, 32, seed=0)
    assert len(speed_table(speed).rows) == 7
