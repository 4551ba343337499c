"""What a row may write next, from what it has written: one small number per row, and a table.

Special tokens are never written, nor a sentence of no tokens. A placeholder is written at most once. Straight double
quotes and round brackets close: a quotation is not opened within one, a bracket not within brackets, and nothing ends
while either is open. A small model often forgets that it has opened a quotation; what it may not write is known from
the tokens alone, so the sampler need not leave it to chance.

In NumPy: for arrays of a number per row its calls cost half of torch's, and there are dozens in a step.

Shapes: B rows, V tokens, S states, F tokens that some state forbids.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from handlers.decoding.arrays import IntArray
from handlers.model.vocabulary import BOS_ID, EOS_ID, PAD_ID, SPECIALS, UNK_ID, Vocabulary

_QUOTE: Final = '"'
_EMPTY, _QUOTING, _BRACKETED, _FIRST_PLACEHOLDER = 1, 2, 4, 8
"""Bits of a row's state; each placeholder has one of its own, set once it is written."""
_ALL_BITS: Final = (1 << 62) - 1


class Grammar:
    """The states of a vocabulary's sentences: what each forbids, and where each token leads."""

    start: Final = _EMPTY
    """The state in which nothing is written."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        tokens = ["" if token in SPECIALS else token for token in vocabulary.tokens]
        rises = [token.count("(") - token.count(")") for token in tokens]
        forms = vocabulary.placeholder_ids()
        keep = [_ALL_BITS ^ _EMPTY ^ (_BRACKETED if rise else 0) for rise in rises]
        put = [_BRACKETED if rise > 0 else 0 for rise in rises]
        flip = [_QUOTING if token.count(_QUOTE) % 2 else 0 for token in tokens]
        for bit, ids in enumerate(forms):
            for number in ids:
                put[number] |= _FIRST_PLACEHOLDER << bit
        self.keep_V, self.put_V, self.flip_V = (np.array(each, dtype=np.int64) for each in (keep, put, flip))
        forbidden = [_forbidden(state, tokens, rises, forms) for state in range(_FIRST_PLACEHOLDER << len(forms))]
        width = max(map(len, forbidden))
        padded = [ids + [PAD_ID] * (width - len(ids)) for ids in forbidden]
        self.forbidden_SF = np.array(padded, dtype=np.int64)

    def forbidden(self, state_B: IntArray) -> IntArray:
        """Tokens that may not come next, [B, F]; where there are fewer, the padding token stands."""
        forbidden_BF: IntArray = self.forbidden_SF[state_B]
        return forbidden_BF

    def after(self, state_B: IntArray, chosen_B: IntArray) -> IntArray:
        """The state of rows that have written some tokens."""
        after_B: IntArray = ((state_B & self.keep_V[chosen_B]) | self.put_V[chosen_B]) ^ self.flip_V[chosen_B]
        return after_B

    def forbidden_one(self, state: int) -> list[int]:
        """The same of one row."""
        forbidden: list[int] = self.forbidden_SF[state].tolist()
        return forbidden

    def after_one(self, state: int, token: int) -> int:
        """The same of one row."""
        return ((state & self.keep_V.item(token)) | self.put_V.item(token)) ^ self.flip_V.item(token)


def _forbidden(state: int, tokens: list[str], rises: list[int], placeholders: tuple[tuple[int, ...], ...]) -> list[int]:
    ids = [PAD_ID, BOS_ID, UNK_ID]
    if state & (_EMPTY | _QUOTING | _BRACKETED):
        ids.append(EOS_ID)
    if state & _QUOTING:
        # With a space before it, it would open; one without, or after a sign, closes.
        ids += [
            number for number, token in enumerate(tokens) if token.lstrip(" ").startswith(_QUOTE) and token[0] == " "
        ]
    ids += [number for number, rise in enumerate(rises) if (rise > 0 if state & _BRACKETED else rise < 0)]
    for bit, forms in enumerate(placeholders):
        if state & _FIRST_PLACEHOLDER << bit:
            ids += forms
    return ids
