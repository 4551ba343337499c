"""Tokens that would repeat an n-gram of a sequence.

The n-grams are of tokens, not of words, as for `no_repeat_ngram_size` of other generators. n words in one spelling are
at least n tokens, so they do not repeat either. `handlers.decoding.constraints.word_repeats` compares words in any
spelling.

Shapes: B sequences, T token positions, F forbidden tokens, padded.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from handlers.decoding.arrays import IntArray
from handlers.model.vocabulary import PAD_ID

LOOP_SIZE: Final = 4
"""Size of the n-grams that no sentence of a model with a lexicon repeats: such a model does not loop. One in a hundred
real sentences repeats one of this size, one in forty one of three tokens."""


def effective_size(requested: int, *, has_lexicon: bool) -> int:
    """Return the size of the n-grams that a sequence may not repeat; 0 permits all.

    >>> effective_size(0, has_lexicon=True), effective_size(2, has_lexicon=True), effective_size(0, has_lexicon=False)
    (4, 2, 0)
    """
    return min(requested or LOOP_SIZE, LOOP_SIZE) if has_lexicon else requested


class NgramTable:
    """Tokens that followed each n-gram of a single sequence, to look up those of `completing`.

    Args:
        size: n, 0 for no limit.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._followers: dict[tuple[int, ...], list[int]] = {}

    def forbidden(self, tokens: list[int]) -> list[int]:
        """Return the tokens that would complete an n-gram for a second time, given all tokens of the sequence."""
        return self._followers.get(self._last(tokens, self._size - 1), []) if self._size else []

    def add(self, tokens: list[int]) -> None:
        """Add the last token of the sequence."""
        if 0 < self._size <= len(tokens):
            self._followers.setdefault(self._last(tokens[:-1], self._size - 1), []).append(tokens[-1])

    @staticmethod
    def _last(tokens: list[int], count: int) -> tuple[int, ...]:
        return tuple(tokens[len(tokens) - count :])


def completing(tokens_BT: IntArray, length_B: IntArray, size_B: IntArray) -> IntArray:
    """Return the tokens that would complete an n-gram of the sequence for a second time, [B, F].

    Args:
        tokens_BT: tokens of the sequences; those from a sequence's length on are ignored.
        length_B: number of tokens of each sequence.
        size_B: n of each sequence, at least 1.
    """
    tokens_BT = tokens_BT[:, : length_B.max(initial=0)]
    position_T, sequence_B = np.arange(tokens_BT.shape[1]), np.arange(len(tokens_BT))
    size_B1, length_B1 = size_B[:, None], length_B[:, None]
    # Positions after the sequence's last n - 1 tokens: the token there may not follow again.
    follows_BT = (position_T >= size_B1 - 1) & (position_T < length_B1)
    for back in range(1, int(size_B.max(initial=1))):
        if not follows_BT.any():
            break
        # Shorter sequences have no such position anyway.
        last_B1 = tokens_BT[sequence_B, np.maximum(length_B - back, 0), None]
        follows_BT[:, back:] &= (tokens_BT[:, :-back] == last_B1) | (size_B1 <= back)
    columns = follows_BT.any(axis=0)
    return np.where(follows_BT[:, columns], tokens_BT[:, columns], PAD_ID)
