"""Tokens that would repeat an n-gram of a sequence.

The n-grams are of tokens, not of words, as for `no_repeat_ngram_size` of other generators. n words in one spelling are
at least n tokens, so they do not repeat either. `handlers.decoding.constraints.word_repeats` compares words in any
spelling.

Shapes: B sequences, T token positions, F forbidden tokens, padded.
"""

from __future__ import annotations

import numpy as np

from handlers.decoding.arrays import IntArray
from handlers.model.vocabulary import PAD_ID


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
