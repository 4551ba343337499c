"""What may follow what, as arrays over the whole vocabulary.

Shapes: V tokens, W tokens padded to whole blocks, S states of `handlers.decoding.constraints.grammar`.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from handlers.decoding.constraints.grammar import Rules
from handlers.decoding.constraints.word_repeats import Repeats
from handlers.decoding.gpu.kernels import layout


class Tables:
    """The tables of one vocabulary, on a device.

    Args:
        rules: what may follow, by marks and placeholders.
        repeats: what may follow, by words.
        num_outputs: W.
        device: where they are.
    """

    def __init__(self, rules: Rules, repeats: Repeats, num_outputs: int, device: torch.device) -> None:
        forbids_SW = np.zeros((len(rules.forbidden_SF), num_outputs), dtype=np.int8)
        np.put_along_axis(forbids_SW, rules.forbidden_SF, 1, axis=1)
        self.state_forbids_SW = torch.from_numpy(forbids_SW).to(device)
        ints = {
            layout.KEEP: rules.keep_V,
            layout.PUT: rules.put_V,
            layout.FLIP: rules.flip_V,
            layout.GOES_ON: repeats.goes_on_V,
            layout.CUTS: repeats.cuts_V,
            layout.LOW_KEY: repeats.key_V,
        }
        longs = {
            layout.HASH: repeats.hash_V,
            layout.POWER: repeats.power_V,
            layout.INVERSE: repeats.inverse_V,
            layout.KEY: repeats.key_V,
        }
        self.ints = _stacked({at.value: each for at, each in ints.items()}, num_outputs, np.int32).to(device)
        self.longs = _stacked({at.value: each for at, each in longs.items()}, num_outputs, np.int64).to(device)


def _stacked(columns: dict[int, NDArray[np.generic]], num_outputs: int, kind: type[np.signedinteger]) -> Tensor:
    """Arrays over the vocabulary one above the other; whole numbers keep their lower bits."""
    stacked = np.zeros((len(columns), num_outputs), dtype=kind)
    for place, values_V in columns.items():
        stacked[place, : len(values_V)] = values_V.astype(kind)
    return torch.from_numpy(stacked)
