"""Rules of a model as arrays over all its tokens, on a GPU.

Shapes: V tokens, C columns of a token's numbers, W tokens padded to whole blocks, S states of
`handlers.decoding.constraints.grammar`, F tokens that one forbids, N nodes of the lexicon, J = N + 1 edges of nodes, E
edges, G contexts and the inside of words.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from handlers.decoding import rule_tables
from handlers.decoding.gpu.kernels import layout
from handlers.decoding.rule_tables import RuleTables

_MIN_EDGES: Final = 16
_INTS: Final = {
    layout.KEEP: rule_tables.KEEP,
    layout.PUT: rule_tables.PUT,
    layout.FLIP: rule_tables.FLIP,
    layout.CONTINUES: rule_tables.CONTINUES,
    layout.CUTS: rule_tables.CUTS,
    layout.KEY_LOW_HALF: rule_tables.KEY,
    layout.NAME_KIND: rule_tables.NAME_KIND,
}
_LONGS: Final = {
    layout.HASH: rule_tables.HASH,
    layout.POWER: rule_tables.POWER,
    layout.INVERSE: rule_tables.INVERSE,
    layout.KEY: rule_tables.KEY,
}
"""Column of `rule_tables` that each column of the kernels holds."""


class Tables:
    """Tables of one vocabulary on a device.

    Args:
        rules: rules of the model.
        num_outputs: number of tokens, padded to whole blocks.
        device: device of the tables.
    """

    def __init__(self, rules: RuleTables, num_outputs: int, device: torch.device) -> None:
        forbids_SW = np.zeros((len(rules.grammar_SF), num_outputs), dtype=np.int8)
        np.put_along_axis(forbids_SW, rules.grammar_SF, 1, axis=1)
        self.state_forbids_SW = torch.from_numpy(forbids_SW).to(device)
        ints: dict[int, NDArray[np.generic]] = {at.value: rules.token_VC[:, column] for at, column in _INTS.items()}
        longs: dict[int, NDArray[np.generic]] = {at.value: rules.token_VC[:, column] for at, column in _LONGS.items()}
        self.ints = _stacked(ints, num_outputs, np.int32).to(device)
        self.longs = _stacked(longs, num_outputs, np.int64).to(device)
        self.lexicon = LexiconTables.of(rules, num_outputs, device)


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
    def of(cls, rules: RuleTables, num_outputs: int, device: torch.device) -> LexiconTables:
        """Return the tables of a lexicon; without one, empty tables that no kernel reads."""

        def on_device(array: NDArray[np.generic], dtype: torch.dtype = torch.int32) -> Tensor:
            return torch.from_numpy(array).to(device, dtype)

        if not rules.has_lexicon:
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
        lexicon = rules.lexicon
        entry_GW = np.pad(lexicon.entry_GV, ((0, 0), (0, num_outputs - lexicon.entry_GV.shape[1])))
        return cls(
            context_N=on_device(lexicon.context_N),
            first_edge_J=on_device(lexicon.first_edge_J),
            token_E=on_device(lexicon.token_E),
            mask_GW=on_device(lexicon.mask_GW, torch.int8),
            entry_GW=on_device(entry_GW),
            first_child=lexicon.first_child,
            inside=lexicon.inside,
            max_edges=max(_MIN_EDGES, 1 << (lexicon.widest - 1).bit_length()),
        )


def _stacked(columns: dict[int, NDArray[np.generic]], num_outputs: int, dtype: type[np.signedinteger]) -> Tensor:
    """Stack arrays over the vocabulary; integers are truncated to their lower bits."""
    stacked = np.zeros((len(columns), num_outputs), dtype=dtype)
    for place, values_V in columns.items():
        stacked[place, : len(values_V)] = values_V.astype(dtype)
    return torch.from_numpy(stacked)
