"""Tokens that continue a word of the lexicon or may follow one; see `handlers.model.lexicon`.

Each sequence carries its node of the lexicon. The tokens that its context permits are a row of a table over the whole
vocabulary; the few that continue a word are added one by one.

The other constraints never look ahead. Inside a word they may leave no token at all: then those that only avoid
repetition are lifted for the step, since a sentence must not end within a word.

Shapes: B sequences, R some of them, N nodes, J = N + 1 edges of nodes, E edges, G = contexts and one more for the
inside of words, V tokens, W tokens padded to whole blocks, P tokens that continue a word, of all sequences.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from handlers.decoding.arrays import BoolArray, IntArray
from handlers.model.lexicon import INSIDE, Lexicon


@dataclass(frozen=True, slots=True)
class Permitted:
    """Tokens that the lexicon permits some sequences."""

    mask_GW: Tensor
    """Whether each context permits a token, 1 or 0; the last row is that of the inside of words."""
    context_B: Tensor
    """Row of each sequence."""
    row_P: IntArray
    """Sequence of each token that continues a word, in ascending order."""
    token_P: IntArray
    """Tokens that continue a word."""
    inside_B: BoolArray
    """Whether a sequence is within a word."""

    def restrict(self, weight_BW: Tensor, scratch_BW: Tensor) -> None:
        """Set the weights of all other tokens to 0."""
        weights, place_P = weight_BW.view(-1), self._places(self.row_P, self.token_P, weight_BW)
        kept_P = weights[place_P]
        weight_BW.mul_(torch.index_select(self.mask_GW, 0, self.context_B, out=scratch_BW))
        weights[place_P] = kept_P

    def restrict_log2(self, log2_RW: Tensor, rows: list[int]) -> None:
        """Set the logarithms of all other tokens of some sequences, in ascending order, to minus infinity."""
        chosen_R = np.array(rows)
        new_row_P = np.minimum(chosen_R.searchsorted(self.row_P), len(rows) - 1)
        is_chosen_P = chosen_R[new_row_P] == self.row_P
        place_P = self._places(new_row_P[is_chosen_P], self.token_P[is_chosen_P], log2_RW)
        kept_P = log2_RW.view(-1)[place_P]
        mask_RW = self.mask_GW[self.context_B[torch.from_numpy(chosen_R).to(log2_RW.device)]]
        log2_RW.masked_fill_(mask_RW == 0, -torch.inf)
        log2_RW.view(-1)[place_P] = kept_P

    @staticmethod
    def _places(row_P: IntArray, token_P: IntArray, numbers_BW: Tensor) -> Tensor:
        return torch.from_numpy(row_P * numbers_BW.shape[1] + token_P).to(numbers_BW.device)


class LexiconWords:
    """Lexicon of a vocabulary, ready for a decode.

    Args:
        lexicon: words that may be written.
        num_outputs: number of tokens, padded to whole blocks.
        device: device of the decode.
    """

    start: Final = 0
    """Node of a sequence without tokens."""

    def __init__(self, lexicon: Lexicon, num_outputs: int, device: torch.device) -> None:
        entry_GV = lexicon.entry_GV.numpy()
        contexts, self._vocabulary_size = entry_GV.shape
        mask_GW = np.zeros((contexts + 1, num_outputs), dtype=np.float32)
        mask_GW[:contexts, : self._vocabulary_size] = entry_GV != INSIDE
        self.mask_GW = torch.from_numpy(mask_GW).to(device)
        self._mask_of = list(self.mask_GW)
        self.context_N = np.where(lexicon.context_N == INSIDE, contexts, lexicon.context_N).astype(np.int64)
        self.first_edge_J, self.token_E = lexicon.first_edge_J.numpy(), lexicon.token_E.numpy()
        self.inside = contexts
        nodes, edges = len(self.context_N), len(self.token_E)
        self.first_child = nodes - edges
        # Keys of the edges are in ascending order, with one behind them that no search finds.
        parent_E = np.repeat(np.arange(nodes, dtype=np.int64), np.diff(self.first_edge_J))
        self._key_E = np.append(parent_E * self._vocabulary_size + self.token_E, np.int64(2**62))
        # A sequence that has nothing to write ends, at any node.
        self.entry_GV = np.zeros((contexts + 1, self._vocabulary_size), dtype=np.int64)
        np.maximum(entry_GV, 0, out=self.entry_GV[:contexts])

    def permitted(self, node_B: IntArray) -> Permitted:
        """Return the tokens that may follow each sequence, given its node."""
        first_B = self.first_edge_J[node_B]
        count_B = self.first_edge_J[node_B + 1] - first_B
        row_P = np.arange(len(node_B)).repeat(count_B)
        edge_P = np.arange(len(row_P)) + (first_B - count_B.cumsum() + count_B)[row_P]
        context_B = self.context_N[node_B]
        return Permitted(
            self.mask_GW,
            torch.from_numpy(context_B).to(self.mask_GW.device),
            row_P,
            self.token_E[edge_P],
            context_B == self.inside,
        )

    def after(self, node_B: IntArray, chosen_B: IntArray) -> IntArray:
        """Return the nodes after some tokens."""
        key_B = node_B * self._vocabulary_size + chosen_B
        edge_B = self._key_E.searchsorted(key_B)
        continues_B = self._key_E[edge_B] == key_B
        entry_B = self.entry_GV[self.context_N[node_B], chosen_B]
        after_B: IntArray = np.where(continues_B, self.first_child + edge_B, entry_B)
        return after_B

    def permitted_one(self, node: int) -> tuple[Tensor, NDArray[np.int32]]:
        """Return `permitted` of a single sequence: the row of the mask, and the tokens that continue a word."""
        first, last = self.first_edge_J.item(node), self.first_edge_J.item(node + 1)
        return self._mask_of[self.context_N.item(node)], self.token_E[first:last]

    def after_one(self, node: int, token: int) -> int:
        """Return `after` of a single sequence."""
        key = node * self._vocabulary_size + token
        edge = int(self._key_E.searchsorted(key))
        if self._key_E.item(edge) == key:
            return self.first_child + edge
        entry: int = self.entry_GV.item(self.context_N.item(node), token)
        return entry
