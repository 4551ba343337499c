"""Sentences of numbers with some order in them, and a model small enough to train on them while a test runs."""

from __future__ import annotations

import numpy as np

from handlers.model.decoder import DecoderConfig
from handlers.model.vocabulary import SPECIALS
from training.cvae.batches import PlainSentences

NUM_TOKENS = 60
NUM_GENRES = 4


def toy_sentences(count: int, *, seed: int = 0, longest: int = 14) -> PlainSentences:
    """Each counts upwards from somewhere in steps of its own, round and round, so there is something to learn."""
    rng = np.random.default_rng(seed)
    words = NUM_TOKENS - len(SPECIALS)
    starts, steps = rng.zipf(1.6, count), rng.integers(1, 4, count)
    lengths = rng.integers(2, longest + 1, count)
    sentences = [
        [len(SPECIALS) + (start + step * place) % words for place in range(length)]
        for start, step, length in zip(starts.tolist(), steps.tolist(), lengths.tolist(), strict=True)
    ]
    genres = [rng.choice(NUM_GENRES, size=number, replace=False) + 1 for number in rng.integers(0, 3, count)]
    return PlainSentences(sentences, num_characters=4 * int(lengths.sum()), genres=[each.tolist() for each in genres])


def toy_config(size: int = 16) -> DecoderConfig:
    return DecoderConfig(
        vocabulary_size=NUM_TOKENS, num_genres=NUM_GENRES, embedding_size=size, hidden_size=size, z_size=6, genre_size=4
    )
