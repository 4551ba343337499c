"""Simulated curators: each has a taste that is hidden from what learns from its verdicts, and errs in a tenth.

Shapes: Z latent vector.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

from handlers.commentary import Commentator
from handlers.contract import CommentaryRequest
from handlers.model.topics import topic_words
from training.cvae.batches import PlainSentences
from training.cvae.model import Cvae
from training.errors import SettingError
from training.verdicts.rows import JudgedText, Verdicts

CURATORS: Final = ("region of the latent space", "short sentences", "words", "openings")
"""Names of the simulated curators."""
NOISE: Final = 0.1
"""Share of verdicts that are the opposite of the taste."""
_SHARE: Final = 0.4
"""Share of a version's sentences that a taste likes."""
_PER_SONG: Final = 5
_OPENING: Final = 2

BoolArray = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True)
class Curator:
    """Curator with a hidden taste."""

    name: str
    likes: Callable[[Sequence[str]], BoolArray]
    """Whether the curator likes each text."""

    def acceptance(self, texts: Sequence[str]) -> float:
        """Return the expected share of texts that the curator accepts, errors included."""
        return NOISE + (1 - 2 * NOISE) * float(self.likes(texts).mean())

    def judge(self, commentator: Commentator, genres: Sequence[Sequence[str]], *, seed: int) -> Verdicts:
        """Judge samples of a version as it serves them, five of a song.

        Args:
            commentator: the version.
            genres: genres of each song.
            seed: seed of the requests and of the errors.
        """
        generator = np.random.default_rng(seed)
        requests = [
            CommentaryRequest(genres=tuple(labels), num_samples=_PER_SONG, seed=1_000_003 * (seed + 1) + number)
            for number, labels in enumerate(genres)
        ]
        rows: list[JudgedText] = []
        for request, answer in zip(requests, commentator.answer(requests), strict=True):
            liked = self.likes([sample.text for sample in answer.samples])
            for sample, likes in zip(answer.samples, liked, strict=True):
                errs = generator.random() < NOISE
                rows.append(
                    JudgedText(
                        model="lcgan",
                        version="1",
                        seed=sample.seed,
                        genres=tuple(request.genres),
                        sampling=request.sampling,
                        text=sample.text,
                        accepted=bool(likes) != errs,
                    )
                )
        return Verdicts(rows=tuple(rows), sha256=f"{self.name}-{seed}")


def curators(texts: Sequence[str], model: Cvae, encode: Callable[[str], list[int]], *, seed: int) -> list[Curator]:
    """Return a curator of each kind of taste.

    Args:
        texts: sentences of the version, of which each likes about 40%.
        model: CVAE in whose latent space one taste is a half space.
        encode: tokens of a text.
        seed: seed of the tastes.
    """
    generator = np.random.default_rng(seed)
    tastes = (
        _region(texts, model, encode, generator),
        _short(texts),
        _words(texts, generator),
        _openings(texts, generator),
    )
    return [Curator(name=name, likes=likes) for name, likes in zip(CURATORS, tastes, strict=True)]


def check_names(names: Sequence[str]) -> None:
    """Check that simulated curators have these names.

    Raises:
        SettingError: one has not.
    """
    unknown = [name for name in names if name not in CURATORS]
    if unknown:
        raise SettingError(f"there is no simulated curator {unknown[0]!r}; there are {', '.join(CURATORS)}")


def _region(
    texts: Sequence[str], model: Cvae, encode: Callable[[str], list[int]], generator: np.random.Generator
) -> Callable[[Sequence[str]], BoolArray]:
    normal_Z = torch.from_numpy(generator.standard_normal(len(model.mu_shift))).float()

    @torch.no_grad()
    def heights(given: Sequence[str]) -> NDArray[np.float32]:
        sentences = PlainSentences([encode(text) for text in given], num_characters=0)
        found: NDArray[np.float32] = (model.encode(sentences.batch(range(len(given)))).mu @ normal_Z).numpy()
        return found

    limit = float(np.quantile(heights(texts), 1 - _SHARE))
    return lambda given: heights(given) > limit


def _short(texts: Sequence[str]) -> Callable[[Sequence[str]], BoolArray]:
    def lengths(given: Sequence[str]) -> NDArray[np.int64]:
        return np.array([len(topic_words(text)) for text in given])

    limit = np.quantile(lengths(texts), _SHARE)
    return lambda given: lengths(given) <= limit


def _words(texts: Sequence[str], generator: np.random.Generator) -> Callable[[Sequence[str]], BoolArray]:
    """Any of a set of words that are neither rare nor everywhere."""
    sets = [set(topic_words(text)) for text in texts]
    counts = Counter(word for each in sets for word in each)
    usable = sorted(word for word, count in counts.items() if 0.005 * len(texts) < count < 0.15 * len(texts))
    liked: set[str] = set()
    for word in generator.permutation(usable):
        liked.add(str(word))
        if sum(not each.isdisjoint(liked) for each in sets) >= _SHARE * len(texts):
            break
    return lambda given: np.array([not liked.isdisjoint(topic_words(text)) for text in given])


def _openings(texts: Sequence[str], generator: np.random.Generator) -> Callable[[Sequence[str]], BoolArray]:
    """Some of the pairs of words that sentences begin with."""

    def opening(text: str) -> tuple[str, ...]:
        return tuple(text.split()[:_OPENING])

    counts = Counter(map(opening, texts))
    liked: set[tuple[str, ...]] = set()
    number = 0
    for place in generator.permutation(len(counts)):
        each = sorted(counts)[place]
        if number + counts[each] <= (_SHARE + 0.1) * len(texts):
            liked.add(each)
            number += counts[each]
    return lambda given: np.array([opening(text) in liked for text in given])
