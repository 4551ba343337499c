"""What single rows forbid beyond the rules that hold for all: an early end, repeated n-grams, banned words.

Rows that ask for none of this cost nothing: what does not concern the rows in the slots is not looked at.

Shapes: R rows of a decode, B rows in slots, L those of them that limit something, D distinct lists of banned words,
T places of a sentence, W banned words, F tokens that are forbidden.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from handlers.decoding.arrays import IntArray
from handlers.decoding.constraints.ngrams import completing
from handlers.decoding.constraints.word_repeats import WordRepeats, word_hash
from handlers.decoding.rows import Row
from handlers.model.vocabulary import EOS_ID, PAD_ID


class _Users(NamedTuple):
    """The rows in slots that use one of the limits, and what each asks of it."""

    slots_L: IntArray
    values_L: IntArray

    @classmethod
    def of(cls, values_B: IntArray, unused: int) -> _Users:
        slots_L = (values_B != unused).nonzero()[0]
        return cls(slots_L, values_B[slots_L])


class Constraints:
    """The limits of the rows of one decode.

    Args:
        rows: what is decoded.
        word_repeats: the vocabulary's words.
    """

    def __init__(self, rows: Sequence[Row], word_repeats: WordRepeats) -> None:
        self._word_repeats = word_repeats
        lists = {banned: number for number, banned in enumerate(dict.fromkeys(row.banned for row in rows))}
        self._no_list = lists.get((), -1)
        self._asked_R3 = np.array([(row.min_tokens, row.no_repeat_ngram, lists[row.banned]) for row in rows])
        known = [compile_bad_words(banned, word_repeats) for banned in lists]
        self._hashes_DW = _table([hashes for hashes, _ in known], 0)
        self._holding_DF = _table([containing for _, containing in known], PAD_ID)

    def look(self, live: Sequence[int]) -> None:
        """Take note of which rows the slots hold."""
        least_B, size_B, list_B = self._asked_R3[live].T
        self._least, self._size = _Users.of(least_B, 0), _Users.of(size_B, 0)
        self._list = _Users.of(list_B, self._no_list)
        self._num_slots = len(live)

    def forbidden(self, tokens_BT: IntArray, length_B: IntArray, word_state_4B: IntArray) -> list[IntArray]:
        """Tokens that may not come next, [B, F] each; where there are fewer, the padding token stands.

        Args:
            tokens_BT: what the rows in the slots have written.
            length_B: how many tokens these are.
            word_state_4B: where they are in their words, by `handlers.decoding.constraints.word_repeats`.
        """
        found = []
        if len(slots_L := self._least.slots_L):
            early_L = length_B[slots_L] + 1 < self._least.values_L
            found.append(self._spread(slots_L, np.where(early_L, EOS_ID, PAD_ID)[:, None]))
        if len(slots_L := self._size.slots_L):
            repeated_LF = completing(tokens_BT[slots_L], length_B[slots_L], self._size.values_L)
            found.append(self._spread(slots_L, repeated_LF))
        if len(slots_L := self._list.slots_L):
            list_L = self._list.values_L
            becoming_LF = self._word_repeats.completing(self._hashes_DW[list_L], word_state_4B[:, slots_L])
            found += [self._spread(slots_L, each) for each in (self._holding_DF[list_L], becoming_LF)]
        return found

    def _spread(self, slots_L: IntArray, forbidden_LF: IntArray) -> IntArray:
        """The tokens of some slots as those of all."""
        forbidden_BF = np.full((self._num_slots, forbidden_LF.shape[1]), PAD_ID)
        forbidden_BF[slots_L] = forbidden_LF
        return forbidden_BF


def compile_bad_words(banned: Sequence[str], word_repeats: WordRepeats) -> tuple[list[int], list[int]]:
    """The hashes of some words, and the tokens that hold one of them whatever is written before."""
    words = [unicodedata.normalize("NFC", word) for word in banned]
    return [word_hash(word) for word in words], [token for word in words for token in word_repeats.containing(word)]


def _table(lists: Sequence[Sequence[int]], padding: int) -> IntArray:
    width = max(map(len, lists), default=0)
    padded: NDArray[np.int64] = np.full((len(lists), width), padding)
    for place, each in enumerate(lists):
        padded[place, : len(each)] = each
    return padded
