"""Triton functions of the lexicon, see `handlers.decoding.constraints.lexicon_words`.

Shapes: N nodes, J = N + 1 edges of nodes, E edges, G contexts and the inside of words, V the power of two from W on, W
tokens padded to whole blocks, K edges of a node, padded.
"""

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def forbids(
    ids_V, inside_V, node, context_N, first_edge_J, token_E, mask_GW, marks_W, W: tl.constexpr, K: tl.constexpr
):
    """Return the tokens that may not follow a node of the lexicon.

    Args:
        marks_W: zeros in the memory of the slot, into which the tokens that continue a word are scattered. A comparison
            of each of them with the whole vocabulary would take longer than the rest of the kernel.
    """
    edge_K = tl.load(first_edge_J + node) + tl.arange(0, K)
    is_edge_K = edge_K < tl.load(first_edge_J + node + 1)
    token_K = tl.load(token_E + edge_K, mask=is_edge_K, other=0)
    tl.store(marks_W + token_K, 1, mask=is_edge_K)
    tl.debug_barrier()
    continues_V = tl.load(marks_W + ids_V, mask=inside_V, other=0)
    tl.debug_barrier()
    tl.store(marks_W + token_K, 0, mask=is_edge_K)
    permits_V = tl.load(mask_GW + tl.load(context_N + node) * W + ids_V, mask=inside_V, other=0)
    return (continues_V | permits_V) == 0


@triton.jit
def unless_stuck(forbidden_V, bad_V):
    """Lift the prohibition of some tokens where nothing else may follow, with bad ones forbidden."""
    is_stuck = tl.sum((~(forbidden_V | bad_V)).to(tl.int32)) == 0
    return forbidden_V & ~is_stuck


@triton.jit
def advance(token, place, context_N, first_edge_J, token_E, entry_GW, first_child, W: tl.constexpr, K: tl.constexpr):
    """Replace the node at some place by the node after a token."""
    node = tl.load(place)
    edge_K = tl.load(first_edge_J + node) + tl.arange(0, K)
    is_edge_K = edge_K < tl.load(first_edge_J + node + 1)
    token_K = tl.load(token_E + edge_K, mask=is_edge_K, other=-1)
    edge = tl.max(tl.where(token_K == token, edge_K, -1))
    entry = tl.load(entry_GW + tl.load(context_N + node) * W + token)
    tl.store(place, tl.where(edge >= 0, first_child + edge, entry))
