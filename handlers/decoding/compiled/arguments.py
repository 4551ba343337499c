"""Arrays of the compiled decode, in groups that numba takes as named tuples.

Shapes: S slots, F numbers of a sequence's state or found tokens, T token positions, D random numbers of a step, N
sampling settings, blocks or nodes of the lexicon, L lists of bad words, B bad words of a list, W tokens padded to whole
blocks, X = N + 1 edges of blocks, C tokens that are computed at a time or columns of a token's numbers, G contexts and
the inside of words, V tokens, J = N + 1 edges of nodes, E edges of the lexicon, Q keys, K tokens that share one.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from handlers.decoding.arrays import FloatArray, IntArray


class Rules(NamedTuple):
    """Tables of `handlers.decoding.rule_tables`."""

    grammar_SF: IntArray
    token_VC: IntArray
    keys_Q: IntArray
    tokens_QK: IntArray
    context_N: IntArray
    first_edge_J: NDArray[np.int32]
    token_E: NDArray[np.int32]
    mask_GW: NDArray[np.float32]
    entry_GV: IntArray
    first_child: int
    inside: int
    has_lexicon: bool
    has_names: bool


class Sequences(NamedTuple):
    """Sequences in slots, of `handlers.decoding.slots`, and what they ask for."""

    state_FS: IntArray
    tokens_ST: IntArray
    uniforms_STD: FloatArray
    settings_SN: FloatArray
    log2_prob_S: FloatArray
    log2_probs_ST: FloatArray
    asked_S3: IntArray
    """Least number of tokens, size of the n-grams that may not repeat, and list of bad words of each slot."""
    guidance_S: NDArray[np.float32]
    hashes_LB: IntArray
    containing_LF: IntArray


class Scratch(NamedTuple):
    """Memory of one thread for one row."""

    weight_W: NDArray[np.float32]
    odds_C: NDArray[np.float32]
    block_N: NDArray[np.float32]
    edge_X: FloatArray
    found_F: IntArray
    key_W: IntArray
    sum_W: FloatArray
