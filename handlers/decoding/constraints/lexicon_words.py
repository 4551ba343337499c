"""Tokens that continue a word of the lexicon or may follow one; see `handlers.model.lexicon`.

Each sequence carries its node of the lexicon. The tokens that its context permits are a row of a table over the whole
vocabulary; the few that continue a word are added one by one.

The other constraints never look ahead. Inside a word they may leave no token at all: then those that only avoid
repetition are lifted for the step, since a sentence must not end within a word.

Shapes: B sequences, R some of them, N nodes, J = N + 1 edges of nodes, E edges, G = contexts and one more for the
inside of words, V tokens, W tokens padded to whole blocks, C tokens that continue a word, padded.
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
from handlers.model.vocabulary import PAD_ID


@dataclass(frozen=True, slots=True)
class Permitted:
    """Tokens that the lexicon permits some sequences."""

    mask_GW: Tensor
    """Whether each context permits a token, 1 or 0; the last row is that of the inside of words."""
    context_B: Tensor
    """Row of each sequence."""
    continuing_BC: Tensor
    """Tokens that continue a word."""
    inside_B: BoolArray
    """Whether a sequence is within a word."""

    def restrict(self, weight_BW: Tensor, scratch_BW: Tensor) -> None:
        """Set the weights of all other tokens to 0."""
        kept_BC = weight_BW.gather(1, self.continuing_BC)
        weight_BW.mul_(torch.index_select(self.mask_GW, 0, self.context_B, out=scratch_BW))
        weight_BW.scatter_(1, self.continuing_BC, kept_BC)

    def restrict_log2(self, log2_RW: Tensor, rows: list[int]) -> None:
        """Set the logarithms of all other tokens of some sequences to minus infinity."""
        rows_R = torch.tensor(rows, device=log2_RW.device)
        continuing_RC = self.continuing_BC[rows_R]
        kept_RC = log2_RW.gather(1, continuing_RC)
        log2_RW.masked_fill_(self.mask_GW[self.context_B[rows_R]] == 0, -torch.inf)
        log2_RW.scatter_(1, continuing_RC, kept_RC)


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
        place_C = np.arange(count_B.max(initial=0))
        is_edge_BC = place_C < count_B[:, None]
        continuing_BC = np.full(is_edge_BC.shape, PAD_ID, dtype=np.int64)
        continuing_BC[is_edge_BC] = self.token_E[(first_B[:, None] + place_C)[is_edge_BC]]
        context_B = self.context_N[node_B]
        device = self.mask_GW.device
        return Permitted(
            self.mask_GW,
            torch.from_numpy(context_B).to(device),
            torch.from_numpy(continuing_BC).to(device),
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
