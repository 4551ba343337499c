"""Thought vectors with what the decoder makes of them: what the LC-GAN learns from.

What matters is what is decoded from a z, not what the sentence that z came from was about.

Shapes: N labelled rows, B rows of one decode, Z thought vector, A genre embedding, K topics.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Container, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from torch import Tensor

from handlers.decoding.engine import Engine, Row
from handlers.decoding.random_numbers import derive_seed
from handlers.model.bundle import Bundle
from handlers.model.generator import Generator
from handlers.model.topics import topic_words
from training.cvae.batches import EncodedSentences
from training.cvae.model import Cvae
from training.errors import NotLearnedError
from training.measures import distinct
from training.progress import Progress

_BY_ROW: Final = ("z_NZ", "genres_NA", "topics_NK", "rarity_N", "encoded_N")
_ONE_TOPIC: Final = 0.98
"""With a larger share of the labels in one topic there is nothing to learn from the others."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelledVectors:
    """Thought vectors with the topics and the wording of the sentences that the decoder made of them."""

    z_NZ: Tensor
    genres_NA: Tensor
    topics_NK: Tensor
    """Topic shares; rows sum to 1."""
    rarity_N: Tensor
    """Mean of 1 / count over a sentence's word pairs, counted among as many sentences as the group has: the mean of it
    over a group (each sentence weighed by its pairs) is the group's distinct-2. A pair with a word that is in no real
    sentence counts 0, lest misspelling be the way to be diverse."""
    encoded_N: Tensor
    """Whether z came from the encoder (a real sentence)."""
    sigma_Z: Tensor
    """Mean posterior standard deviation of each dimension."""

    def __len__(self) -> int:
        return len(self.z_NZ)

    def joined(self, other: LabelledVectors) -> LabelledVectors:
        """Both sets of rows; sigma is this one's."""
        rows = {name: torch.cat((getattr(self, name), getattr(other, name))) for name in _BY_ROW}
        return LabelledVectors(**rows, sigma_Z=self.sigma_Z)

    def sampled(self, count: int) -> LabelledVectors:
        """Some of the rows, drawn by torch's own random numbers; all of them if there are no more."""
        rows = torch.randperm(len(self), device=self.z_NZ.device)[:count]
        return LabelledVectors(**{name: getattr(self, name)[rows] for name in _BY_ROW}, sigma_Z=self.sigma_Z)


@dataclass(frozen=True, slots=True, kw_only=True)
class DecodedSample:
    """Sentences decoded from one way of making z."""

    vectors: LabelledVectors
    distinct_2: float
    log_prob: float
    """Mean log-probability of a token in nats, under the decoder."""

    def share(self, topic: int) -> float:
        """Share of the sentences that are mainly about a topic."""
        return float((self.vectors.topics_NK.argmax(dim=1) == topic).float().mean())


class Labeller:
    """Decodes thought vectors and labels them by what comes out.

    Args:
        model: whose encoder makes z of real sentences.
        bundle: the same model's decoder, without a generator.
        train: sentences; their genres come as often here as there.
        known: words of real sentences; see `known_words`.
        group: sentences among which word pairs are counted.
        device: where to work.
    """

    def __init__(
        self,
        model: Cvae,
        bundle: Bundle,
        train: EncodedSentences,
        *,
        known: Container[str],
        group: int,
        device: str,
    ) -> None:
        self._model = model
        self._bundle = bundle
        self._engine = Engine(bundle, device=device)
        self._train = train
        self._group = group
        self._device = device
        self._known = known

    @torch.no_grad()
    def label(self, count: int, *, seed: int, progress: Progress) -> LabelledVectors:
        """Vectors half from the encoder and half from the prior, labelled.

        Raises:
            NotLearnedError: nearly all the labels are one topic.
        """
        chosen = np.random.default_rng(seed).choice(len(self._train), size=count)
        encoded_N = torch.arange(count) % 2 == 0
        parts: list[tuple[Tensor, Tensor, Tensor, Tensor]] = []
        texts: list[str] = []
        for start in range(0, count, 512):
            part = chosen[start : start + 512]
            posterior = self._model.encode(self._train.batch(part).to(self._device))
            rows = [
                Row(genres=self._train.genres_of(index), seed=derive_seed(seed, start + i))
                for i, index in enumerate(part)
            ]
            from_encoder_B1 = encoded_N[start : start + 512].unsqueeze(1).to(self._device)
            z_BZ = torch.where(from_encoder_B1, posterior.sample(), self._engine.thought_vectors(rows))
            written = [self._bundle.vocabulary.decode(each.ids) for each in self._engine.decode(rows, z_BZ)]
            shares_BK = self._bundle.topics.shares(written).to(self._device)
            parts.append((z_BZ, self._engine.embed_genres(rows), shares_BK, torch.exp(0.5 * posterior.log_variance)))
            texts += written
            progress(start + len(part), count, "labelled samples")
        z_NZ, genres_NA, topics_NK, sigma_NZ = (torch.cat(tensors).clone() for tensors in zip(*parts, strict=True))
        _check_spread(topics_NK, self._bundle.topics.names)
        return LabelledVectors(
            z_NZ=z_NZ,
            genres_NA=genres_NA,
            topics_NK=topics_NK,
            rarity_N=rarities(texts, self._group, known=self._known).to(self._device),
            encoded_N=encoded_N.to(self._device),
            sigma_Z=sigma_NZ.mean(dim=0),
        )

    @torch.no_grad()
    def decode(self, topics: Sequence[int], generator: Generator | None, *, seed: int) -> DecodedSample:
        """Vectors of the prior, moved towards a topic each, decoded and labelled; not moved without a generator."""
        rows = genre_rows(self._train, len(topics), seed=seed)
        z_BZ, genres_BA = self._engine.thought_vectors(rows).clone(), self._engine.embed_genres(rows).clone()
        if generator is not None:
            target_BK = torch.eye(len(self._bundle.topics.names), device=self._device)[list(topics)]
            z_BZ = generator(z_BZ, genres_BA, target_BK)
        decoded = self._engine.decode(rows, z_BZ)
        texts = [self._bundle.vocabulary.decode(each.ids) for each in decoded]
        vectors = LabelledVectors(
            z_NZ=z_BZ,
            genres_NA=genres_BA,
            topics_NK=self._bundle.topics.shares(texts).to(self._device),
            rarity_N=rarities(texts, self._group, known=self._known).to(self._device),
            encoded_N=torch.zeros(len(rows), dtype=torch.bool, device=self._device),
            sigma_Z=torch.ones(z_BZ.shape[1], device=self._device),
        )
        tokens = max(1, sum(each.token_count for each in decoded))
        return DecodedSample(
            vectors=vectors,
            distinct_2=distinct(texts, 2),
            log_prob=sum(each.log_prob for each in decoded) / tokens,
        )


def known_words(texts: Sequence[str]) -> frozenset[str]:
    """The words of real sentences.

    >>> sorted(known_words(["A slow hiss.", "So slow"]))
    ['a', 'hiss', 'slow', 'so']
    """
    return frozenset(word for text in texts for word in topic_words(text))


def rarities(texts: Sequence[str], group: int, *, known: Container[str]) -> Tensor:
    """How rare each text's word pairs are among the texts of its group, float32 [N]; see `LabelledVectors.rarity_N`.

    A text without a pair is as rare as can be.

    >>> rarities(["so warm", "so warm", "so cold", "so cxld"], 4, known={"so", "warm", "cold"}).tolist()
    [0.5, 0.5, 1.0, 0.0]
    """
    values: list[float] = []
    for start in range(0, len(texts), group):
        words = [topic_words(text) for text in texts[start : start + group]]
        pairs = [list(itertools.pairwise(each)) for each in words]
        counts = Counter(pair for each in pairs for pair in each)
        value = {pair: 1 / count if pair[0] in known and pair[1] in known else 0.0 for pair, count in counts.items()}
        values += [sum(value[pair] for pair in each) / len(each) if each else 1.0 for each in pairs]
    return torch.tensor(values)


def genre_rows(train: EncodedSentences, count: int, *, seed: int) -> list[Row]:
    """Rows with genres as in the corpus, each with a seed of its own: the same for all models that are compared."""
    chosen = np.random.default_rng(seed).choice(len(train), size=count)
    return [Row(genres=train.genres_of(index), seed=derive_seed(seed, number)) for number, index in enumerate(chosen)]


def _check_spread(topics_NK: Tensor, names: Sequence[str]) -> None:
    main_N = topics_NK.argmax(dim=1)
    share_K = torch.bincount(main_N, minlength=len(names)).float() / max(len(main_N), 1)
    largest = int(share_K.argmax())
    if float(share_K[largest]) > _ONE_TOPIC:
        raise NotLearnedError(
            f"{float(share_K[largest]):.1%} of {len(main_N)} decoded samples are about one topic ({names[largest]}): "
            "there is nothing to steer between. Look at the CVAE's samples: if they are all alike, train it longer or "
            "raise cvae.mu_scale; if they are not, try other topics.candidates or lower topics.max_share"
        )
