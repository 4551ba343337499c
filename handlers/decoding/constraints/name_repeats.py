"""Tokens that would make a sentence loop on names: "Diana Ross, Diana Ross and Diana Ross".

A word with a capital may not follow the same name again, and does not stand in a list with itself. One real sentence in
300 breaks this; one in 40 holds a name twice, so a name by itself may come again. The rule compares tokens: it looks at
the first token of a word, which is most of a name, and forbids none within a word. Models with a lexicon have it.

Shapes: B sequences, L of them whose last token may end a name, T token positions, P places that follow one, V tokens, F
forbidden tokens, padded.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from handlers.decoding.arrays import IntArray
from handlers.decoding.constraints.ngrams import followers, spread
from handlers.model.vocabulary import PAD_ID, SPECIALS, Vocabulary

NAME, BEFORE_NAME, LIST_MARK = 1, 2, 4
"""Bits of a token: it starts a word with a capital after a space; it may be the end of a name; it joins a list."""
_LIST_MARKS: Final = frozenset({",", " and", " &", " or", "/", " /"})
_PAIR: Final = 2


class NameRepeats:
    """Kinds of a vocabulary's tokens: starts and ends of names, and marks of lists."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        tokens = ["" if token in SPECIALS else token for token in vocabulary.tokens]
        self.kind_V = np.array([_kind(token) for token in tokens], dtype=np.int64)

    def forbidden(self, tokens_BT: IntArray, length_B: IntArray, last_B: IntArray) -> IntArray:
        """Return the forbidden next tokens, [B, F], padded with the padding token.

        Args:
            tokens_BT: tokens of the sequences.
            length_B: number of tokens of each sequence.
            last_B: last token of each sequence.
        """
        kind_B = self.kind_V[last_B]
        before_B = tokens_BT[np.arange(len(last_B)), np.maximum(length_B - _PAIR, 0)]
        is_listed_B = ((kind_B & LIST_MARK) != 0) & (length_B >= _PAIR) & ((self.kind_V[before_B] & NAME) != 0)
        listed_B1 = np.where(is_listed_B, before_B, PAD_ID)[:, None]
        (row_L,) = ((kind_B & BEFORE_NAME) != 0).nonzero()
        row_P, token_P = followers(tokens_BT[row_L], length_B[row_L], np.full(len(row_L), _PAIR))
        is_name_P = (self.kind_V[token_P] & NAME) != 0
        following_BF = spread(row_L[row_P[is_name_P]], token_P[is_name_P], len(last_B))
        return np.concatenate((listed_B1, following_BF), axis=1)

    def forbidden_one(self, tokens: list[int], followers: list[int]) -> list[int]:
        """Return `forbidden` of a single sequence.

        Args:
            tokens: its tokens.
            followers: tokens that followed the last one before.
        """
        if not tokens:
            return []
        kind = self.kind_V.item(tokens[-1])
        found = [*tokens[-_PAIR:-1]] if kind & LIST_MARK else []
        found += followers if kind & BEFORE_NAME else []
        return [token for token in found if self.kind_V.item(token) & NAME]


def _kind(text: str) -> int:
    """Return the kind of a token; " I" is not a name.

    >>> _kind(" Diana"), _kind("ana"), _kind(" and"), _kind(" I")
    (3, 2, 4, 2)
    """
    starts = text[1:2].isupper() and text[0] == " " and text != " I"
    ends = any(map(str.isupper, text)) or text[:1].isalpha()
    return NAME * starts | BEFORE_NAME * ends | LIST_MARK * (text in _LIST_MARKS)
