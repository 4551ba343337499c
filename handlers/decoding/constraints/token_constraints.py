"""Constraints that single sequences ask for: a minimum length, no repeated n-grams, no bad words.

A constraint that no live sequence asks for costs nothing.

Shapes: R sequences of a decode, B sequences in slots, L those that use a constraint, D distinct lists of bad words, T
token positions, W bad words of a list, F forbidden tokens, padded.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from handlers.decoding.arrays import IntArray
from handlers.decoding.constraints.ngrams import completing, effective_size
from handlers.decoding.constraints.word_repeats import WordRepeats, word_hash
from handlers.decoding.sequences import SequenceSpec
from handlers.model.vocabulary import EOS_ID, PAD_ID


class _Users(NamedTuple):
    """Slots whose sequences use a constraint, with its value for each."""

    slots_L: IntArray
    values_L: IntArray

    @classmethod
    def of(cls, values_B: IntArray, unused: int) -> _Users:
        slots_L = (values_B != unused).nonzero()[0]
        return cls(slots_L, values_B[slots_L])


class Constraints:
    """Constraints of the sequences of one decode.

    Args:
        specs: sequences to decode.
        word_repeats: words of the vocabulary.
        has_lexicon: whether the model has a lexicon; see `LOOP_SIZE`.
    """

    def __init__(self, specs: Sequence[SequenceSpec], word_repeats: WordRepeats, *, has_lexicon: bool = False) -> None:
        self._word_repeats = word_repeats
        lists = {words: number for number, words in enumerate(dict.fromkeys(spec.sampling.bad_words for spec in specs))}
        self._no_list = lists.get((), -1)
        self._asked_R3 = np.array(
            [
                (
                    spec.sampling.min_tokens,
                    effective_size(spec.sampling.no_repeat_ngram_size, has_lexicon=has_lexicon),
                    lists[spec.sampling.bad_words],
                )
                for spec in specs
            ]
        )
        known = [compile_bad_words(words, word_repeats) for words in lists]
        self.hashes_DW = _table([hashes for hashes, _ in known], 0)
        self.containing_DF = _table([containing for _, containing in known], PAD_ID)

    def select(self, live: Sequence[int]) -> None:
        """Select the constraints of the sequences in the slots, given by index."""
        min_tokens_B, size_B, list_B = self._asked_R3[live].T
        self._min_tokens, self._ngram_size = _Users.of(min_tokens_B, 0), _Users.of(size_B, 0)
        self._words = _Users.of(list_B, self._no_list)
        self._num_slots = len(live)

    def asked(self, live: Sequence[int]) -> IntArray:
        """Return what some sequences ask for: least number of tokens, size of n-grams and list of bad words, [B, 3]."""
        return self._asked_R3[live]

    def forbidden(self, tokens_BT: IntArray, length_B: IntArray) -> list[IntArray]:
        """Return the forbidden next tokens, one array [B, F] for each constraint, padded with the padding token.

        Those of bad words are apart, in `bad_words`.

        Args:
            tokens_BT: tokens of the sequences in the slots.
            length_B: number of tokens of each sequence.
        """
        found = []
        if len(slots_L := self._min_tokens.slots_L):
            early_L = length_B[slots_L] + 1 < self._min_tokens.values_L
            found.append(self._spread(slots_L, np.where(early_L, EOS_ID, PAD_ID)[:, None]))
        if len(slots_L := self._ngram_size.slots_L):
            repeated_LF = completing(tokens_BT[slots_L], length_B[slots_L], self._ngram_size.values_L)
            found.append(self._spread(slots_L, repeated_LF))
        return found

    def bad_words(self, word_state_4B: IntArray) -> list[IntArray]:
        """Return the tokens that would write a bad word, in arrays [B, F], padded with the padding token.

        Args:
            word_state_4B: hash state of each sequence's words, see `handlers.decoding.constraints.word_repeats`.
        """
        slots_L, list_L = self._words
        if not len(slots_L):
            return []
        completing_LF = self._word_repeats.completing(self.hashes_DW[list_L], word_state_4B[:, slots_L])
        return [self._spread(slots_L, each) for each in (self.containing_DF[list_L], completing_LF)]

    def _spread(self, slots_L: IntArray, forbidden_LF: IntArray) -> IntArray:
        """Return the forbidden tokens of all slots, given those of some."""
        forbidden_BF = np.full((self._num_slots, forbidden_LF.shape[1]), PAD_ID)
        forbidden_BF[slots_L] = forbidden_LF
        return forbidden_BF


def compile_bad_words(bad_words: Sequence[str], word_repeats: WordRepeats) -> tuple[list[int], list[int]]:
    """Return the hashes of some words, and the tokens that contain one of them whatever is written before."""
    words = [unicodedata.normalize("NFC", word) for word in bad_words]
    return [word_hash(word) for word in words], [token for word in words for token in word_repeats.containing(word)]


def _table(lists: Sequence[Sequence[int]], padding: int) -> IntArray:
    width = max(map(len, lists), default=0)
    padded: NDArray[np.int64] = np.full((len(lists), width), padding)
    for place, each in enumerate(lists):
        padded[place, : len(each)] = each
    return padded
