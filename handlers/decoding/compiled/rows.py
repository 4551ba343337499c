"""Choice of one row's next token: weights, forbidden tokens, draw, log-probability, state.

Shapes: P rows of a slot, W tokens padded to whole blocks, F found tokens or numbers of a sequence's state, S slots, T
token positions, D random numbers of a step, N sampling settings, blocks or nodes of the lexicon, X = N + 1 edges of
blocks, C tokens that are computed at a time or columns of a token's numbers, G contexts and the inside of words, V
tokens, J edges of nodes, E edges of the lexicon, Q keys, K tokens that share one, L lists of bad words, B bad words of
a list.
"""

from __future__ import annotations

import numpy as np

from handlers.decoding.compiled import rules, weights
from handlers.decoding.compiled.vectors import BLOCK, exp2, fma, helper, sum_block
from handlers.decoding.sampling.filters import COLDEST
from handlers.decoding.slots import LENGTH, NODE
from handlers.model.vocabulary import EOS_ID

_ZERO = np.float32(0)
_MINUS_INFINITY = np.float32(-np.inf)


@helper
def drawn_of(token, product_PW, scale_P, bias_W, guidance):
    """Return the logarithm of one token's odds to draw by; see `weights.drawn_log2`."""
    own = weights.log2_odds(product_PW[0, token], scale_P[0], bias_W[token])
    if len(product_PW) == 1:
        return own
    other = weights.log2_odds(product_PW[1, token], scale_P[1], bias_W[token])
    return fma(guidance, own - other, other)


@helper
def restrict(node, tables, product_PW, scale_P, bias_W, guidance, factor, scratch):
    """Set the weights of the tokens that the lexicon does not permit to 0, and sum up the blocks."""
    mask_W, weight_W = tables.mask_GW[tables.context_N[node]], scratch.weight_W
    for i in range(len(weight_W)):
        weight_W[i] *= mask_W[i]
    for edge in range(tables.first_edge_J[node], tables.first_edge_J[node + 1]):
        token = tables.token_E[edge]
        weight_W[token] = exp2(drawn_of(token, product_PW, scale_P, bias_W, guidance) * factor)
    weights.sum_blocks(weight_W, scratch.block_N)


@helper
def weigh_shifted(node, tables, product_PW, scale_P, bias_W, guidance, factor, token_F, scratch):
    """Write the weights divided by the largest; return their sum. They are exact whatever the temperature."""
    weight_W = scratch.weight_W
    weights.drawn_log2(product_PW, scale_P, bias_W, guidance, weight_W)
    weight_W[len(tables.token_VC) :] = _MINUS_INFINITY
    if tables.has_lexicon:
        mask_W = tables.mask_GW[tables.context_N[node]]
        for i in range(len(weight_W)):
            weight_W[i] = weight_W[i] if mask_W[i] > _ZERO else _MINUS_INFINITY
        for edge in range(tables.first_edge_J[node], tables.first_edge_J[node + 1]):
            token = tables.token_E[edge]
            weight_W[token] = drawn_of(token, product_PW, scale_P, bias_W, guidance)
    for token in token_F:
        weight_W[token] = _MINUS_INFINITY
    weights.divide_by_largest(weight_W, factor)
    weights.sum_blocks(weight_W, scratch.block_N)
    return weights.sum_up(scratch.block_N, scratch.edge_X)


@helper
def normaliser(total, product_W, scale, bias_W, scratch):
    """Return by how much a row's logarithms are shifted, and the base-2 logarithm of their sum of odds after that."""
    shift = _ZERO
    if not weights.is_exact(total):
        shift = weights.largest_log2(product_W, scale, bias_W, scratch.odds_C)
        total = weights.own_total(product_W, scale, bias_W, shift, scratch.odds_C)
    return shift, np.log2(total)


@helper
def weigh(slot, sequences, tables, product_PW, scale_P, bias_W, scratch):
    """Write a row's weights and their sums; return the sum of its odds at temperature 1, and that of its weights."""
    state_F, asked_3 = sequences.state_FS[:, slot], sequences.asked_S3[slot]
    guidance, node = sequences.guidance_S[slot], state_F[NODE]
    factor = np.float32(1.0 / max(sequences.settings_SN[slot, 0], COLDEST))
    weight_W, found_F = scratch.weight_W, scratch.found_F
    odds = weights.weigh_all(product_PW, scale_P, bias_W, guidance, factor, weight_W, scratch.odds_C, scratch.block_N)
    if tables.has_lexicon:
        restrict(node, tables, product_PW, scale_P, bias_W, guidance, factor, scratch)
    number = asked_3[2]
    num_bad = rules.add_bad_words(
        state_F, sequences.hashes_LB[number], sequences.containing_LF[number], tables.keys_Q, tables.tokens_QK, found_F
    )
    count = rules.add_avoided(
        state_F, sequences.tokens_ST[slot], asked_3, tables.grammar_SF, tables.token_VC, tables.keys_Q,
        tables.tokens_QK, tables.has_names, found_F, num_bad,
    )  # fmt: skip
    for token in found_F[:count]:
        weight_W[token] = _ZERO
    for token in found_F[:count]:
        scratch.block_N[token // BLOCK] = sum_block(weight_W, token // BLOCK * BLOCK)
    total = weights.sum_up(scratch.block_N, scratch.edge_X)
    if not weights.is_exact(total):
        # A low temperature, or likely tokens that are forbidden.
        total = weigh_shifted(node, tables, product_PW, scale_P, bias_W, guidance, factor, found_F[:count], scratch)
    if total == 0 and tables.has_lexicon and tables.context_N[node] == tables.inside:
        # A sentence must not end within a word: only bad words stay forbidden there.
        total = weigh_shifted(node, tables, product_PW, scale_P, bias_W, guidance, factor, found_F[:num_bad], scratch)
    return odds, total


@helper
def choose(slot, sequences, tables, product_PW, scale_P, bias_W, scratch):
    """Draw and store a slot's next token, and write its state after it; return whether it was the last."""
    state_F = sequences.state_FS[:, slot]
    place = state_F[LENGTH]
    odds, total = weigh(slot, sequences, tables, product_PW, scale_P, bias_W, scratch)
    shift, log2_total = normaliser(odds, product_PW[0], scale_P[0], bias_W, scratch)
    token = EOS_ID
    if total != 0:
        token = weights.draw(
            scratch.weight_W, scratch.block_N, scratch.edge_X, sequences.uniforms_STD[slot, place],
            sequences.settings_SN[slot], scratch.key_W, scratch.sum_W,
        )  # fmt: skip
    log2_prob = np.float64(weights.log2_odds(product_PW[0, token], scale_P[0], bias_W[token]) - shift) - log2_total
    sequences.log2_prob_S[slot] += log2_prob
    sequences.log2_probs_ST[slot, place] = log2_prob
    sequences.tokens_ST[slot, place] = token
    if tables.has_lexicon:
        state_F[NODE] = rules.node_after(
            state_F[NODE], token, tables.context_N, tables.first_edge_J, tables.token_E, tables.entry_GV,
            tables.first_child,
        )  # fmt: skip
    return rules.advance(state_F, token, tables.token_VC)
