"""Grammar of sentences as a finite automaton: a state per sequence, and a table of the tokens that a state forbids.

Special tokens and the empty sentence are forbidden. A placeholder occurs at most once. Straight double quotes and round
brackets are balanced: neither nests in its own kind, and a sentence does not end while one is open. A small model often
forgets that it has opened a quotation; since the tokens alone decide, the sampler does not leave it to chance.

The arrays are NumPy's: with one number per sequence its calls cost half of torch's, and a step makes dozens of them.

Shapes: B sequences, V tokens, S states, F tokens that a state forbids, padded.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from handlers.decoding.arrays import IntArray
from handlers.model.vocabulary import BOS_ID, EOS_ID, PAD_ID, SPECIALS, UNK_ID, Vocabulary

_QUOTE: Final = '"'
_EMPTY, _QUOTING, _BRACKETED, _FIRST_PLACEHOLDER = 1, 2, 4, 8
"""Bits of a state. Each placeholder has a bit of its own, from the last one on, which is set once it is written."""
_ALL_BITS: Final = (1 << 62) - 1


class Grammar:
    """Automaton of a vocabulary's sentences: the tokens that each state forbids, and the state after each token."""

    start: Final = _EMPTY
    """State of a sequence without tokens."""

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
        """Return the forbidden next tokens, [B, F], padded with the padding token."""
        forbidden_BF: IntArray = self.forbidden_SF[state_B]
        return forbidden_BF

    def after(self, state_B: IntArray, chosen_B: IntArray) -> IntArray:
        """Return the states after some tokens."""
        after_B: IntArray = ((state_B & self.keep_V[chosen_B]) | self.put_V[chosen_B]) ^ self.flip_V[chosen_B]
        return after_B

    def forbidden_one(self, state: int) -> list[int]:
        """Return `forbidden` of a single sequence."""
        forbidden: list[int] = self.forbidden_SF[state].tolist()
        return forbidden

    def after_one(self, state: int, token: int) -> int:
        """Return `after` of a single sequence."""
        return ((state & self.keep_V.item(token)) | self.put_V.item(token)) ^ self.flip_V.item(token)


def _forbidden(state: int, tokens: list[str], rises: list[int], placeholders: tuple[tuple[int, ...], ...]) -> list[int]:
    ids = [PAD_ID, BOS_ID, UNK_ID]
    if state & (_EMPTY | _QUOTING | _BRACKETED):
        ids.append(EOS_ID)
    if state & _QUOTING:
        # A quote with a space before it would open; one without, or after punctuation, closes.
        ids += [
            number for number, token in enumerate(tokens) if token.lstrip(" ").startswith(_QUOTE) and token[0] == " "
        ]
    ids += [number for number, rise in enumerate(rises) if (rise > 0 if state & _BRACKETED else rise < 0)]
    for bit, forms in enumerate(placeholders):
        if state & _FIRST_PLACEHOLDER << bit:
            ids += forms
    return ids
