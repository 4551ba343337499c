"""Constraints of a vocabulary as arrays over all its tokens, on a GPU.

Shapes: V tokens, W tokens padded to whole blocks, S states of `handlers.decoding.constraints.grammar`, F tokens that a
state forbids.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from handlers.decoding.constraints.grammar import Grammar
from handlers.decoding.constraints.word_repeats import WordRepeats
from handlers.decoding.gpu.kernels import layout


class Tables:
    """Tables of one vocabulary on a device.

    Args:
        grammar: grammar of the vocabulary's sentences.
        word_repeats: words of the vocabulary.
        num_outputs: number of tokens, padded to whole blocks.
        device: device of the tables.
    """

    def __init__(self, grammar: Grammar, word_repeats: WordRepeats, num_outputs: int, device: torch.device) -> None:
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
        }
        longs = {
            layout.HASH: word_repeats.hash_V,
            layout.POWER: word_repeats.power_V,
            layout.INVERSE: word_repeats.inverse_V,
            layout.KEY: word_repeats.key_V,
        }
        self.ints = _stacked({at.value: each for at, each in ints.items()}, num_outputs, np.int32).to(device)
        self.longs = _stacked({at.value: each for at, each in longs.items()}, num_outputs, np.int64).to(device)


def _stacked(columns: dict[int, NDArray[np.generic]], num_outputs: int, dtype: type[np.signedinteger]) -> Tensor:
    """Stack arrays over the vocabulary; integers are truncated to their lower bits."""
    stacked = np.zeros((len(columns), num_outputs), dtype=dtype)
    for place, values_V in columns.items():
        stacked[place, : len(values_V)] = values_V.astype(dtype)
    return torch.from_numpy(stacked)
