"""Rough estimate of a training's time on this machine, before it begins.

The constants are seconds on one core of the machine that wrote docs/measurements/log.md, and are scaled by a probe of
the machine that trains. The estimate says whether a training takes minutes or hours, and what cannot fit into a budget.
"""

from __future__ import annotations

import time
from collections.abc import Collection
from typing import Final

import torch

from training.corpus import Corpus
from training.settings import TrainSettings

LIMITED: Final = frozenset(("cvae", "labels", "lcgan"))
"""Parts whose time can be limited: they train on less."""
_PROBE_S: Final = 0.055
"""Seconds of the probe on the reference machine."""
_TOKENS: Final = 20
"""Tokens of a sentence."""
_PER_TRIAL: Final = 1.1e-4
"""Seconds of LDA for a sentence in a pass."""
_FIXED_TOPICS: Final = 6.0
"""Seconds of LDA whatever the corpus."""
_PER_FLOP: Final = 1.4e-11
"""Seconds of a floating-point operation in training."""
_PER_DECODED: Final = 1.0e-10
"""Seconds of a decoded token for each weight that it is multiplied by."""
_PER_GAN_WEIGHT: Final = 1.3e-9
"""Seconds of a step of the LC-GAN for each weight of a layer and each vector of a batch."""
_PER_JUDGED: Final = 8e-4
"""Seconds of the judges and language models of the comparison for a sentence."""
_COMPARED: Final = 300 * 7
"""Whole sequences that the comparison decodes for each version; most candidates are abandoned early."""
_PACKED: Final = 12.0
"""Seconds to register and pack a version."""


def estimate(corpus: Corpus, settings: TrainSettings, to_do: Collection[str]) -> dict[str, float]:
    """Return the seconds of each part of a training: topics, cvae, labels, lcgan, candidates, comparison, archives.

    Args:
        corpus: sentences to train on.
        settings: settings of the training.
        to_do: names of the stages that are not done; parts of the others are left out.
    """
    sentences = len(corpus.indices("train"))
    topics, cvae, lcgan = settings.topics, settings.cvae, settings.lcgan
    used, tried = min(sentences, topics.max_sentences), min(sentences, topics.selection_sentences)
    decoded = _PER_DECODED * _TOKENS * _weights(settings)
    # Each latent vector is encoded, decoded and labelled; each round decodes for the desired topic and the others.
    models = [name for name in ("cvae", "lcgan") if f"acceptability-{name}" in to_do]
    parts = {
        "topics": ("topics", _FIXED_TOPICS + _PER_TRIAL * topics.passes * (tried * len(topics.candidates) + used)),
        "cvae": ("cvae", _PER_FLOP * 6 * sentences * _TOKENS * cvae.epochs * _weights(settings)),
        "labels": ("lcgan", decoded * lcgan.num_samples),
        "lcgan": (
            "lcgan",
            decoded * (2 * lcgan.rounds * lcgan.round_samples + 2 * lcgan.evaluation_samples)
            + _PER_GAN_WEIGHT * lcgan.steps * lcgan.batch_size * lcgan.num_layers * lcgan.hidden_size**2,
        ),
    }
    found = {name: seconds for name, (stage, seconds) in parts.items() if stage in to_do}
    if models:
        found["candidates"] = len(models) * decoded * 16 * settings.acceptability.calibration_samples
        found["comparison"] = _PER_JUDGED * sentences + len(models) * decoded * _COMPARED
        found["archives"] = len(models) * _PACKED
    slower = _probe() / _PROBE_S if found else 1.0
    return {name: seconds * slower for name, seconds in found.items()}


def span(seconds: float) -> str:
    """Return a time in words, with as many digits as an estimate has.

    >>> span(3.4), span(48), span(130), span(5000), span(20000)
    ('3 s', '50 s', '2 minutes', '1.4 hours', '6 hours')
    """
    if seconds < 90:
        return f"{seconds:.0f} s" if seconds < 20 else f"{round(seconds, -1):.0f} s"
    if seconds < 5400 * 0.9:
        minutes = seconds / 60
        return f"{minutes:.0f} minutes" if minutes < 20 else f"{round(minutes / 5) * 5} minutes"
    hours = seconds / 3600
    return f"{hours:.1f} hours" if hours < 3 else f"{hours:.0f} hours"


def _weights(settings: TrainSettings) -> int:
    """Weights of encoder and decoder that a token is multiplied by in training; the output layer may be sampled."""
    cvae = settings.cvae
    decoder = 4 * cvae.hidden_size * (cvae.embedding_size + cvae.z_size + cvae.genre_size + cvae.hidden_size)
    encoder_size = cvae.encoder_size or cvae.hidden_size
    encoder = 4 * encoder_size * (cvae.embedding_size + encoder_size)
    vocabulary = min(cvae.max_vocabulary, cvae.sampled_vocabulary or cvae.max_vocabulary)
    return decoder + encoder + vocabulary * cvae.hidden_size


def _probe() -> float:
    """Seconds of a fixed piece of work: the fastest of three, since other processes slow some of them down."""
    left, right = torch.ones(256, 512), torch.ones(512, 2048)
    seconds = []
    for _ in range(3):
        started = time.perf_counter()
        for _ in range(4):
            left @ right
        seconds.append(time.perf_counter() - started)
    return min(seconds)
