"""Tokens that would repeat an n-gram of a sequence.

The n-grams are of tokens, not of words, as for `no_repeat_ngram_size` of other generators. n words in one spelling are
at least n tokens, so they do not repeat either. `handlers.decoding.constraints.word_repeats` compares words in any
spelling.

Shapes: B sequences, T token positions, P places that follow an n-gram, F forbidden tokens, padded.
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
    return spread(*followers(tokens_BT, length_B, size_B), len(tokens_BT))


def followers(tokens_BT: IntArray, length_B: IntArray, size_B: IntArray) -> tuple[IntArray, IntArray]:
    """Return the tokens that follow a sequence's last n - 1 tokens earlier in it: their sequences and they, [P] each.

    Few places follow even the last token, so only the first comparison is one of arrays of all tokens.

    Args:
        tokens_BT: tokens of the sequences; see `completing`.
        length_B: number of tokens of each sequence.
        size_B: n of each sequence, at least 1.
    """
    tokens_BT = tokens_BT[:, : length_B.max(initial=0)]
    last_B1 = tokens_BT[np.arange(len(tokens_BT)), length_B - 1, None] if tokens_BT.size else tokens_BT
    follows_BT = np.zeros(tokens_BT.shape, dtype=bool)
    np.equal(tokens_BT[:, :-1], last_B1, out=follows_BT[:, 1:])
    if (size_B == 1).any():
        follows_BT |= (size_B == 1)[:, None]
    row_P, place_P = follows_BT.nonzero()
    kept_P = place_P < length_B[row_P]
    for back in range(2, int(size_B.max(initial=1))):
        row_P, place_P = row_P[kept_P], place_P[kept_P]
        before_P = tokens_BT[row_P, np.maximum(place_P - back, 0)]
        # A shorter sequence has such a place only where its own n-grams are shorter.
        wanted_P = tokens_BT[row_P, np.maximum(length_B[row_P] - back, 0)]
        is_same_P = (place_P >= back) & (before_P == wanted_P)
        kept_P = is_same_P | (size_B[row_P] <= back)
    row_P, place_P = row_P[kept_P], place_P[kept_P]
    return row_P, tokens_BT[row_P, place_P]


def spread(row_P: IntArray, token_P: IntArray, count: int) -> IntArray:
    """Return the tokens of each sequence, [B, F], padded with the padding token.

    Args:
        row_P: sequence of each token, in ascending order.
        token_P: tokens.
        count: number of sequences.
    """
    column_P = np.arange(len(row_P)) - row_P.searchsorted(row_P)
    tokens_BF: IntArray = np.full((count, int(column_P.max(initial=-1)) + 1), PAD_ID)
    tokens_BF[row_P, column_P] = token_P
    return tokens_BF
