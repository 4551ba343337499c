"""Sentences that a discriminator is trained on: real ones, and samples that the model decodes for the same genres.

Shapes: N sentences, K topics.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from handlers.decoding.engine import Engine
from handlers.model.bundle import Bundle
from training.cvae.batches import EncodedSentences
from training.errors import NotLearnedError
from training.lcgan.labels import genre_rows
from training.progress import Progress

_DECODED_AT_ONCE: Final = 2_048
_MIN_FINISHED: Final = 0.1
"""Minimum share of samples that end by themselves."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sentences:
    """Sentences as tokens, with the features by which real ones are weighted."""

    ids: list[tuple[int, ...]]
    """Tokens of each sentence, without end mark."""
    topics_NK: NDArray[np.float32]
    """Share of each topic."""

    def __len__(self) -> int:
        return len(self.ids)

    def lengths(self) -> NDArray[np.int64]:
        """Return the number of tokens of each sentence, [N]."""
        return np.array([len(each) for each in self.ids], dtype=np.int64)


def real_sentences(bundle: Bundle, texts: Sequence[str]) -> Sentences:
    """Return real sentences in a model's tokens."""
    ids = [tuple(bundle.vocabulary.encode(text)) for text in texts]
    return Sentences(ids=ids, topics_NK=bundle.topics.shares(texts).numpy())


def sampled_sentences(
    bundle: Bundle, train: EncodedSentences, count: int, *, seed: int, progress: Progress, device: str = "cpu"
) -> Sentences:
    """Decode samples as a request gets them by default, from one candidate each; those that were cut off are left out.

    Args:
        bundle: model.
        train: training split, with whose frequencies genres are drawn.
        count: number of sequences to decode.
        seed: seed of genres and samples.
        progress: gets the number of sequences decoded.
        device: device of the decode.

    Raises:
        NotLearnedError: nearly all samples were cut off.
    """
    engine = Engine(bundle, device=device)
    rows = genre_rows(train, count, seed=seed)
    ids: list[tuple[int, ...]] = []
    for start in range(0, count, _DECODED_AT_ONCE):
        ids += [each.ids for each in engine.decode(rows[start : start + _DECODED_AT_ONCE]) if each.finished]
        progress(min(start + _DECODED_AT_ONCE, count), count, "samples")
    if len(ids) < _MIN_FINISHED * count:
        raise NotLearnedError(
            f"{len(ids)} of {count} samples reached their end, so there is nothing to tell real sentences from: train "
            "the CVAE longer"
        )
    texts = [bundle.vocabulary.decode(each) for each in ids]
    return Sentences(ids=ids, topics_NK=bundle.topics.shares(texts).numpy())
