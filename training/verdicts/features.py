"""Features of sentences, by which a value function tells those that curators accept.

A sentence is described by what can be seen in it, whichever model wrote it: the mean of its posterior q(z | x) under
the encoder of a CVAE, its topics, its length and its words. The vector that it was decoded from says far less, because
the decoder draws words that z leaves open (docs/concepts/learning.md).

Shapes: N texts, F features, W words, K topics, Z latent vector, H hidden state of the encoder, I inputs of a step, G =
4 H gates.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

from handlers.model.topics import TopicModel, topic_words
from handlers.model.value import SentenceValue
from handlers.model.vocabulary import Vocabulary
from training.corpus.cleaning import show_placeholders
from training.corpus.masking import mask
from training.cvae.batches import PlainSentences
from training.cvae.model import Cvae

FloatArray = NDArray[np.float64]

_MIN_SENTENCES: Final = 3
"""Minimum number of real sentences with a word; rarer words would need verdicts of their own."""
_MAX_WORDS: Final = 4_000
_WORD_SCALE: Final = 5.0
"""Length of the vector of a sentence's words, in standard deviations of the other features."""
_LENGTH_SCALE: Final = 2.0
_SMALLEST_SHARE: Final = 1e-3
_ENCODED_AT_ONCE: Final = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class Scales:
    """Words that count, and the mean and standard deviation of the other features in real sentences."""

    words: Mapping[str, int]
    """Column of each word."""
    rarity_W: FloatArray
    """Weight of each word: log((1 + n) / (1 + sentences with it)) + 1, n sentences in all."""
    mean_F: FloatArray
    scale_F: FloatArray


class TextFeatures:
    """Features of texts, in the space of one CVAE.

    Args:
        model: CVAE whose encoder gives latent vectors.
        vocabulary: its vocabulary.
        topics: topic model.
        scales: words and scales; see `fit`.
    """

    def __init__(self, model: Cvae, vocabulary: Vocabulary, topics: TopicModel, scales: Scales) -> None:
        self._model, self._vocabulary, self._topics = model, vocabulary, topics
        self.scales = scales

    @classmethod
    def fit(cls, model: Cvae, vocabulary: Vocabulary, topics: TopicModel, texts: Sequence[str]) -> TextFeatures:
        """Choose words and scales from real sentences."""
        counts = Counter(word for text in texts for word in set(topic_words(text)))
        frequent = sorted(
            (word for word, count in counts.items() if count >= _MIN_SENTENCES), key=lambda each: (-counts[each], each)
        )
        words = {word: column for column, word in enumerate(frequent[:_MAX_WORDS])}
        rarity = [math.log((1 + len(texts)) / (1 + counts[word])) + 1 for word in words]
        plain = cls(model, vocabulary, topics, Scales(words={}, rarity_W=_EMPTY, mean_F=_EMPTY, scale_F=_EMPTY))
        dense_NF = plain._dense(texts)
        scale_F = np.maximum(dense_NF.std(axis=0), 1e-6)
        scale_F[-1] /= _LENGTH_SCALE
        return cls(
            model,
            vocabulary,
            topics,
            Scales(words=words, rarity_W=np.array(rarity), mean_F=dense_NF.mean(axis=0), scale_F=scale_F),
        )

    def __len__(self) -> int:
        return len(self.scales.mean_F) + len(self.scales.words)

    @torch.no_grad()
    def served(self, weights_F: FloatArray, constant: float) -> SentenceValue:
        """Return the sum of the weighted features and a constant, for an archive."""
        model, scales = self._model, self.scales
        dense, z_size = len(scales.mean_F), len(model.mu_shift)
        folded_F = weights_F[:dense] / scales.scale_F
        # The means are a linear function of the encoder's state: their values at 0 and at each unit vector are all.
        hidden = model.encoder_lstm.hidden_size
        states_HH = torch.cat((torch.zeros(1, hidden), torch.eye(hidden))).to(model.mu_shift.device)
        means_HZ = model.posterior(states_HH).mu.cpu().double().numpy()
        state_H = (means_HZ[1:] - means_HZ[0]) @ folded_F[:z_size]
        constant += float(means_HZ[0] @ folded_F[:z_size] - scales.mean_F @ folded_F)
        lstm = {name: each.detach().cpu() for name, each in model.encoder_lstm.named_parameters()}
        return SentenceValue(
            gates_GI=torch.cat((lstm["weight_ih_l0"], lstm["weight_hh_l0"]), dim=1),
            bias_G=lstm["bias_ih_l0"] + lstm["bias_hh_l0"],
            state_H=torch.from_numpy(state_H),
            topics_K=torch.from_numpy(folded_F[z_size:-1].copy()),
            smallest_share=_SMALLEST_SHARE,
            words=tuple(scales.words),
            words_W=torch.from_numpy(_WORD_SCALE * weights_F[dense:]),
            rarity_W=torch.from_numpy(scales.rarity_W),
            length_1=torch.from_numpy(folded_F[-1:].copy()),
            constant_1=torch.tensor([constant], dtype=torch.float64),
        )

    def vectors(self, texts: Sequence[str]) -> FloatArray:
        """Return the features of texts with placeholders: [N, F]."""
        scales = self.scales
        dense_NF = (self._dense(texts) - scales.mean_F) / scales.scale_F
        return np.concatenate((dense_NF, self._words(texts)), axis=1)

    @torch.no_grad()
    def _dense(self, texts: Sequence[str]) -> FloatArray:
        """Latent means, logarithms of the topic shares, and the number of words."""
        sentences = PlainSentences([self._vocabulary.encode(text) for text in texts], num_characters=0)
        device = self._model.mu_shift.device
        means = [
            self._model.encode(sentences.batch(range(start, min(start + _ENCODED_AT_ONCE, len(texts)))).to(device)).mu
            for start in range(0, len(texts), _ENCODED_AT_ONCE)
        ]
        shares_NK = self._topics.shares(texts).clamp_min(_SMALLEST_SHARE).log()
        lengths_N = torch.tensor([[float(len(topic_words(text)))] for text in texts])
        joined = torch.cat((torch.cat(means).cpu(), shares_NK.cpu(), lengths_N), dim=1)
        found_NF: FloatArray = joined.double().numpy()
        return found_NF

    def _words(self, texts: Sequence[str]) -> FloatArray:
        """Rarity of each word that a text contains, in rows of the length `_WORD_SCALE`."""
        found_NW = np.zeros((len(texts), len(self.scales.words)))
        for row, text in enumerate(texts):
            columns = [self.scales.words[word] for word in set(topic_words(text)) if word in self.scales.words]
            found_NW[row, columns] = self.scales.rarity_W[columns]
        length_N1 = np.maximum(np.linalg.norm(found_NW, axis=1, keepdims=True), 1e-9)
        scaled_NW: FloatArray = _WORD_SCALE * found_NW / length_N1
        return scaled_NW


_EMPTY: Final[FloatArray] = np.zeros(0)


def masked(text: str, *, artist: str | None, title: str | None) -> str:
    """Return a text with placeholders where it names its song, as the model wrote it.

    >>> masked("Ona Vell hums.", artist="Ona Vell", title="Slow Tide")
    '<artist> hums.'
    """
    return show_placeholders(" ".join(mask([text], artist=artist, title=title)))
