"""N-grams that stand in a sentence already: which tokens a row may not write next, so that none stands there twice.

Of tokens, as `no_repeat_ngram_size` of other generators has it, and not of words: whoever knows the setting knows what
it does, and n words that are spelled as before are at least n tokens, so no n words come twice in one spelling either.
Words in any spelling are looked after elsewhere (`handlers.decoding.constraints.word_repeats`).

Shapes: B rows, T places of a sentence, F tokens that are forbidden.
"""

from __future__ import annotations

import numpy as np

from handlers.decoding.arrays import IntArray
from handlers.model.vocabulary import PAD_ID


def completing(tokens_BT: IntArray, length_B: IntArray, size_B: IntArray) -> IntArray:
    """Tokens that would complete an n-gram that the row holds already, [B, F]; else the padding token.

    Args:
        tokens_BT: what the rows have written, and anything behind it.
        length_B: tokens that they have written.
        size_B: n of each row, at least 1.
    """
    tokens_BT = tokens_BT[:, : length_B.max(initial=0)]
    place_T, row_B = np.arange(tokens_BT.shape[1]), np.arange(len(tokens_BT))
    size_B1, length_B1 = size_B[:, None], length_B[:, None]
    # Places whose n - 1 tokens before are the row's last ones: the token there may not follow again.
    follows_BT = (place_T >= size_B1 - 1) & (place_T < length_B1)
    for back in range(1, int(size_B.max(initial=1))):
        if not follows_BT.any():
            break
        # Rows that have written fewer tokens than that have no such place anyway.
        last_B1 = tokens_BT[row_B, np.maximum(length_B - back, 0), None]
        follows_BT[:, back:] &= (tokens_BT[:, :-back] == last_B1) | (size_B1 <= back)
    columns = follows_BT.any(axis=0)
    return np.where(follows_BT[:, columns], tokens_BT[:, columns], PAD_ID)
