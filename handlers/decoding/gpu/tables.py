"""Constraints of a vocabulary as arrays over all its tokens, on a GPU.

Shapes: V tokens, W tokens padded to whole blocks, S states of `handlers.decoding.constraints.grammar`, F tokens that a
state forbids, N nodes of the lexicon, J = N + 1 edges of nodes, E edges, G contexts and the inside of words.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from handlers.decoding.constraints.grammar import Grammar
from handlers.decoding.constraints.lexicon_words import LexiconWords
from handlers.decoding.constraints.name_repeats import NameRepeats
from handlers.decoding.constraints.word_repeats import WordRepeats
from handlers.decoding.gpu.kernels import layout

_MIN_EDGES: Final = 16


class Tables:
    """Tables of one vocabulary on a device.

    Args:
        grammar: grammar of the vocabulary's sentences.
        word_repeats: words of the vocabulary.
        num_outputs: number of tokens, padded to whole blocks.
        device: device of the tables.
        lexicon_words: words that may be written; None permits any.
        name_repeats: constraints on repeated names; None permits them.
    """

    def __init__(
        self,
        grammar: Grammar,
        word_repeats: WordRepeats,
        num_outputs: int,
        device: torch.device,
        *,
        lexicon_words: LexiconWords | None = None,
        name_repeats: NameRepeats | None = None,
    ) -> None:
        forbids_SW = np.zeros((len(grammar.forbidden_SF), num_outputs), dtype=np.int8)
        np.put_along_axis(forbids_SW, grammar.forbidden_SF, 1, axis=1)
        self.state_forbids_SW = torch.from_numpy(forbids_SW).to(device)
        ints = {
            layout.KEEP: grammar.keep_V,
            layout.PUT: grammar.put_V,
            layout.FLIP: grammar.flip_V,
            layout.CONTINUES: word_repeats.continues_V,
            layout.CUTS: word_repeats.cuts_V,
            layout.KEY_LOW_HALF: word_repeats.key_V,
            layout.NAME_KIND: np.zeros(1, dtype=np.int64) if name_repeats is None else name_repeats.kind_V,
        }
        longs = {
            layout.HASH: word_repeats.hash_V,
            layout.POWER: word_repeats.power_V,
            layout.INVERSE: word_repeats.inverse_V,
            layout.KEY: word_repeats.key_V,
        }
        self.ints = _stacked({at.value: each for at, each in ints.items()}, num_outputs, np.int32).to(device)
        self.longs = _stacked({at.value: each for at, each in longs.items()}, num_outputs, np.int64).to(device)
        self.lexicon = LexiconTables.of(lexicon_words, num_outputs, device)


@dataclass(frozen=True, slots=True, kw_only=True)
class LexiconTables:
    """Arrays of `LexiconWords` on a device."""

    context_N: Tensor
    first_edge_J: Tensor
    token_E: Tensor
    mask_GW: Tensor
    entry_GW: Tensor
    first_child: int
    inside: int
    max_edges: int
    """Maximum number of edges of a node, as a power of two; 0 without a lexicon."""

    @classmethod
    def of(cls, words: LexiconWords | None, num_outputs: int, device: torch.device) -> LexiconTables:
        """Return the tables of a lexicon; without one, empty tables that no kernel reads."""

        def on_device(array: NDArray[np.generic], dtype: torch.dtype = torch.int32) -> Tensor:
            return torch.from_numpy(array).to(device, dtype)

        if words is None:
            one = on_device(np.zeros(1))
            return cls(
                context_N=one,
                first_edge_J=one,
                token_E=one,
                mask_GW=one.to(torch.int8),
                entry_GW=one,
                first_child=0,
                inside=0,
                max_edges=0,
            )
        entry_GW = np.pad(words.entry_GV, ((0, 0), (0, num_outputs - words.entry_GV.shape[1])))
        widest = int(np.diff(words.first_edge_J).max(initial=1))
        return cls(
            context_N=on_device(words.context_N),
            first_edge_J=on_device(words.first_edge_J),
            token_E=on_device(words.token_E),
            mask_GW=words.mask_GW.to(device, torch.int8),
            entry_GW=on_device(entry_GW),
            first_child=words.first_child,
            inside=words.inside,
            max_edges=max(_MIN_EDGES, 1 << (widest - 1).bit_length()),
        )


def _stacked(columns: dict[int, NDArray[np.generic]], num_outputs: int, dtype: type[np.signedinteger]) -> Tensor:
    """Stack arrays over the vocabulary; integers are truncated to their lower bits."""
    stacked = np.zeros((len(columns), num_outputs), dtype=dtype)
    for place, values_V in columns.items():
        stacked[place, : len(values_V)] = values_V.astype(dtype)
    return torch.from_numpy(stacked)
