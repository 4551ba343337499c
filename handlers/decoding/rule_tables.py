"""The rules of a step as tables of numbers, which compiled decodes read: numba's on a CPU and Triton's on a GPU.

A rule is written once, in `handlers.decoding.constraints`, which makes these numbers of the vocabulary.

Shapes: V tokens, C columns of a token's numbers, S states of the grammar, F tokens that a state forbids, padded, Q
keys, K tokens that share a key, N nodes of the lexicon, J = N + 1 edges of nodes, E edges, G contexts and the inside of
words, W tokens padded to whole blocks.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from handlers.decoding.arrays import IntArray
from handlers.decoding.constraints.grammar import Grammar
from handlers.decoding.constraints.lexicon_words import LexiconWords
from handlers.decoding.constraints.name_repeats import NameRepeats
from handlers.decoding.constraints.word_repeats import WordRepeats

KEEP, PUT, FLIP, CONTINUES, CUTS, NAME_KIND, HASH, POWER, INVERSE, KEY = range(10)
"""Columns of a token's numbers: what it does to the state of `constraints.grammar`; whether it continues the word
before it or cuts it off, its letters' hash with their powers, and its key (`constraints.word_repeats`); its kind of
`constraints.name_repeats`, 0 without that constraint."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LexiconTables:
    """Tables of `constraints.lexicon_words`; without a lexicon they are empty, and are not read."""

    context_N: IntArray
    first_edge_J: NDArray[np.int32]
    token_E: NDArray[np.int32]
    mask_GW: NDArray[np.float32]
    entry_GV: IntArray
    first_child: int
    inside: int

    @classmethod
    def of(cls, words: LexiconWords | None) -> Self:
        """Return the tables of a lexicon."""
        if words is None:
            none = np.zeros(1, dtype=np.int32)
            return cls(
                context_N=none.astype(np.int64),
                first_edge_J=none,
                token_E=none[:0],
                mask_GW=np.zeros((0, 0), dtype=np.float32),
                entry_GV=np.zeros((0, 0), dtype=np.int64),
                first_child=0,
                inside=0,
            )
        return cls(
            context_N=words.context_N,
            # The lexicon's own are read-only, mapped from a file; kernels are compiled for arrays of one kind.
            first_edge_J=words.first_edge_J.copy(),
            token_E=words.token_E.copy(),
            mask_GW=words.mask_GW.cpu().numpy(),
            entry_GV=words.entry_GV,
            first_child=words.first_child,
            inside=words.inside,
        )

    @property
    def widest(self) -> int:
        """Maximum number of edges of a node."""
        return int(np.diff(self.first_edge_J).max(initial=1))


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleTables:
    """Tables of a model's rules."""

    grammar_SF: IntArray
    token_VC: IntArray
    keys_Q: IntArray
    tokens_QK: IntArray
    lexicon: LexiconTables
    has_names: bool
    """Whether names may not repeat."""
    has_lexicon: bool

    @classmethod
    def of(
        cls,
        grammar: Grammar,
        word_repeats: WordRepeats,
        *,
        lexicon_words: LexiconWords | None = None,
        name_repeats: NameRepeats | None = None,
    ) -> Self:
        """Return the tables of some constraints.

        Args:
            grammar: grammar of the vocabulary's sentences.
            word_repeats: words of the vocabulary.
            lexicon_words: words that may be written; None permits any.
            name_repeats: constraints on repeated names; None permits them.
        """
        columns: dict[int, NDArray[np.generic]] = {
            KEEP: grammar.keep_V,
            PUT: grammar.put_V,
            FLIP: grammar.flip_V,
            CONTINUES: word_repeats.continues_V,
            CUTS: word_repeats.cuts_V,
            NAME_KIND: np.zeros(len(grammar.keep_V), dtype=np.int64) if name_repeats is None else name_repeats.kind_V,
            HASH: word_repeats.hash_V,
            POWER: word_repeats.power_V,
            INVERSE: word_repeats.inverse_V,
            KEY: word_repeats.key_V,
        }
        stacked = np.stack([columns[column].astype(np.int64) for column in range(len(columns))], axis=1)
        return cls(
            grammar_SF=grammar.forbidden_SF,
            token_VC=np.ascontiguousarray(stacked),
            keys_Q=word_repeats.keys_Q,
            tokens_QK=word_repeats.tokens_QK,
            lexicon=LexiconTables.of(lexicon_words),
            has_names=name_repeats is not None,
            has_lexicon=lexicon_words is not None,
        )
