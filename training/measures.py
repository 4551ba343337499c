"""Figures of generated text that a training tracks.

Shapes: D sentences, K topics.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from handlers.decoding.engine import Engine, SequenceSpec
from handlers.model.bundle import Bundle
from handlers.model.topics import topic_words


def distinct(texts: Sequence[str], size: int) -> float:
    """Share of distinct n-grams among all n-grams of words (Li 2016), case folded, none across sentences.

    >>> distinct(["so warm", "so warm", "so cold"], 2)
    0.6666666666666666
    """
    grams = [
        tuple(words[start : start + size])
        for words in map(topic_words, texts)
        for start in range(len(words) - size + 1)
    ]
    return len(set(grams)) / len(grams) if grams else 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleFigures:
    """Figures of a model's samples."""

    topic_shares: tuple[float, ...]
    """Share of samples whose main topic is each topic."""
    desired_share: float
    distinct_2: float
    mean_tokens: float
    unfinished: float
    """Share of samples that were cut off at the length limit."""

    def metrics(self, prefix: str) -> dict[str, float]:
        """Return the figures as metrics by name."""
        return {
            f"{prefix}.desired_share": self.desired_share,
            f"{prefix}.distinct_2": self.distinct_2,
            f"{prefix}.mean_tokens": self.mean_tokens,
            f"{prefix}.unfinished": self.unfinished,
        }


def measure_samples(bundle: Bundle, rows: Sequence[SequenceSpec], *, device: str = "cpu") -> SampleFigures:
    """Decode sequences and measure the sentences."""
    decoded = Engine(bundle, device=device).decode(rows)
    texts = [bundle.vocabulary.decode(each.ids) for each in decoded]
    main_D: Tensor = bundle.topics.shares(texts).argmax(dim=1)
    counts_K = torch.bincount(main_D, minlength=len(bundle.topics.names)).float() / max(len(rows), 1)
    return SampleFigures(
        topic_shares=tuple(counts_K.tolist()),
        desired_share=float(counts_K[bundle.topics.desired]),
        distinct_2=distinct(texts, 2),
        mean_tokens=sum(each.token_count for each in decoded) / max(len(rows), 1),
        unfinished=sum(not each.finished for each in decoded) / max(len(rows), 1),
    )
