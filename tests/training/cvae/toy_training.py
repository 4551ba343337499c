"""Fixtures of the CVAE tests: a training of a few seconds, and a posterior that ignores the sentence."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count

import torch

from tests.training.toy_sentences import toy_sentences
from training.cvae.model import Cvae
from training.settings import CvaeSettings

SETTINGS = CvaeSettings(
    embedding_size=16, hidden_size=16, z_size=6, genre_size=4, epochs=4, batch_size=32, learning_rate=1e-2,
    free_nats=1.0, warm_up=0.5, sampled_vocabulary=30,
)  # fmt: skip

# A sentence more than ten batches hold, so that the last batch would be a lone one.
TRAIN, VALID = toy_sentences(321), toy_sentences(80, seed=1)
STEPS_PER_EPOCH = 11


def forget_the_sentence(model: Cvae) -> None:
    """Make the posterior the prior, whatever the sentence."""
    with torch.no_grad():
        model.posterior_head.weight.zero_()
        model.posterior_head.bias.zero_()


def looks(seconds: float) -> Callable[[], float]:
    """A clock that goes on by some seconds with every look at it."""
    times = count(step=seconds)
    return lambda: next(times)
