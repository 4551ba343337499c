"""Values of sentences: the sums of `handlers.model.value`, the same in every batch to the last bit.

The encoder reads sentences of similar lengths together, with batch-invariant products (`handlers.decoding.matmul`) on
the processor, wherever the decode runs. Everything else is an exact sum, sentence by sentence.

Shapes: B sentences, M rows with padding, T steps, V tokens, E embedding, H hidden, I = E + H inputs of a step, G = 4 H
gates, K topics, W words.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

import torch
from torch import Tensor

from handlers.decoding.matmul import PackedLinear, Precision
from handlers.model.topics import topic_words
from handlers.model.value import SentenceValue
from handlers.model.vocabulary import EOS_ID, PAD_ID, Vocabulary

_SENTENCES_AT_ONCE: Final = 128
"""Sentences of similar lengths that are read at a time."""
_CANDIDATE: Final = 2
"""Place of the candidate among the gates, the only one with a tanh."""
_VECTOR: Final = 32
"""Numbers that torch computes at a time. The last ones of an array, if they are fewer, may round differently: so the
encoder's state is a multiple of it."""


class Values:
    """Values of sentences by one function.

    Args:
        function: value function.
        embedding_VE: token embedding of the decoder, which the encoder shares, on the processor.
        vocabulary: its vocabulary.
    """

    def __init__(self, function: SentenceValue, embedding_VE: Tensor, vocabulary: Vocabulary) -> None:
        self._function, self._embedding_VE, self._vocabulary = function, embedding_VE, vocabulary
        self._gates = PackedLinear(*_gates(function), precision=Precision.FP32)
        self._columns = {word: column for column, word in enumerate(function.words)}
        self._state: list[float] = function.state_H.tolist()
        self._size = _padded(len(self._state))
        self._topics: list[float] = function.topics_K.tolist()
        self._words: list[float] = function.words_W.tolist()
        self._rarity: list[float] = function.rarity_W.tolist()
        self._length, self._constant = float(function.length_1), float(function.constant_1)

    @torch.inference_mode()
    def log_odds(self, texts: Sequence[str], shares: Sequence[Sequence[float]]) -> list[float]:
        """Return the natural log odds that a curator accepts each sentence.

        Args:
            texts: sentences with placeholders.
            shares: share of each topic in each.
        """
        states = self._states([(*self._vocabulary.encode(text), EOS_ID) for text in texts])
        return [self._sum(*each) for each in zip(texts, shares, states, strict=True)]

    def _sum(self, text: str, shares: Sequence[float], state: Sequence[float]) -> float:
        found = topic_words(text)
        columns = [self._columns[word] for word in dict.fromkeys(found) if word in self._columns]
        length = math.sqrt(math.fsum(self._rarity[column] ** 2 for column in columns)) or 1.0
        least = self._function.smallest_share
        return math.fsum(
            (
                self._constant,
                self._length * len(found),
                *(weight * value for weight, value in zip(self._state, state, strict=True)),
                *(weight * math.log(max(share, least)) for weight, share in zip(self._topics, shares, strict=True)),
                *(self._words[column] * self._rarity[column] / length for column in columns),
            )
        )

    def _states(self, sentences: Sequence[Sequence[int]]) -> list[list[float]]:
        """Return the encoder's state behind each sentence."""
        # The longest first, so that those that have ended are behind the others.
        order = sorted(range(len(sentences)), key=lambda number: -len(sentences[number]))
        states: list[list[float]] = [[] for _ in sentences]
        for start in range(0, len(order), _SENTENCES_AT_ONCE):
            part = order[start : start + _SENTENCES_AT_ONCE]
            hidden_BH = self._read([sentences[number] for number in part])
            for number, state in zip(part, hidden_BH.tolist(), strict=True):
                states[number] = state
        return states

    def _read(self, sentences: Sequence[Sequence[int]]) -> Tensor:
        """Return the encoder's state behind each of some sentences, the longest first: [B, H]."""
        lengths = [len(sentence) for sentence in sentences]
        size = self._gates.invariant_batch_size(len(sentences))
        tokens_TM = torch.full((lengths[0], size), PAD_ID)
        for number, sentence in enumerate(sentences):
            tokens_TM[: lengths[number], number] = torch.tensor(sentence)
        hidden_MH, cell_MH = torch.zeros(size, self._size), torch.zeros(size, self._size)
        for step, tokens_M in enumerate(tokens_TM):
            count = sum(length > step for length in lengths)
            rows = self._gates.invariant_batch_size(count)
            inputs_MI = torch.cat((self._embedding_VE[tokens_M[:rows]], hidden_MH[:rows]), dim=1)
            input_MH, forget_MH, candidate_MH, output_MH = self._gates(inputs_MI).sigmoid_().chunk(4, dim=1)
            # tanh x is written 2 sigmoid(2x) - 1; the weights hold the first factor of the candidate's.
            moved_MH = forget_MH * cell_MH[:rows] + input_MH * (2 * candidate_MH - 1)
            cell_MH[:count] = moved_MH[:count]
            hidden_MH[:count] = (output_MH * (2 * (2 * moved_MH).sigmoid_() - 1))[:count]
        return hidden_MH[: len(sentences), : len(self._state)]


def _gates(function: SentenceValue) -> tuple[Tensor, Tensor]:
    """Return weights and bias of the gates, for a state that is a multiple of `_VECTOR`, the candidate's doubled."""
    hidden, embedding = len(function.state_H), function.embedding_size
    size = _padded(hidden)
    weight_4HI, bias_4H = torch.zeros(4, size, embedding + size), torch.zeros(4, size)
    weight_4HI[:, :hidden, : embedding + hidden] = function.gates_GI.view(4, hidden, -1)
    bias_4H[:, :hidden] = function.bias_G.view(4, hidden)
    weight_4HI[_CANDIDATE] *= 2
    bias_4H[_CANDIDATE] *= 2
    return weight_4HI.flatten(0, 1), bias_4H.flatten()


def _padded(size: int) -> int:
    return size + -size % _VECTOR


def probability(log_odds: float) -> float:
    """Return the probability with natural log odds.

    >>> probability(0.0), round(probability(-800.0), 3)
    (0.5, 0.0)
    """
    if log_odds >= 0:
        return 1 / (1 + math.exp(-log_odds))
    odds = math.exp(log_odds)
    return odds / (1 + odds)
