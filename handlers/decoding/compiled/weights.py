"""Weights of a row's next token, and draws from them: `handlers.decoding.sampling` for one row, compiled.

Shapes: P rows of a slot, W tokens padded to whole blocks, N blocks or sampling settings, X = N + 1 edges of blocks, C
tokens that are computed at a time, D random numbers of a step.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from handlers.decoding.compiled.vectors import (
    BLOCK,
    bits_of,
    count_in_block,
    exp2,
    fma,
    from_bits,
    helper,
    inlined,
    largest_in_block,
    sum_block,
    sum_block_above,
)
from handlers.decoding.sampling.filters import SORTED_ABOVE_MIN_P, SORTED_BELOW_TOP_P
from handlers.decoding.sampling.sampler import DRAWS, MAX_SUM, MIN_SUM

CHUNK: Final = 1024
"""Tokens that are computed at a time, so that they stay in the cache. A multiple of a block."""
_ZERO = np.float32(0)
_LEAST = np.float32(-3e38)
_FIRST_WINDOW, _WIDER = 64, 4
_MINUS_INFINITY = np.float32(-np.inf)
_LOW_BITS: Final = 0xFFFFFFFF
_BISECTIONS: Final = 24


@inlined
def log2_odds(product, scale, bias):
    """Return the base-2 logarithm of one token's odds."""
    return fma(product, scale, bias)


@helper
def own_total(product_W, scale, bias_W, shift, odds_C):
    """Return the sum of a row's odds at temperature 1, each divided by 2^shift."""
    total = 0.0
    for start in range(0, len(product_W), CHUNK):
        product_C, bias_C = product_W[start : start + CHUNK], bias_W[start : start + CHUNK]
        for i in range(len(product_C)):
            odds_C[i] = exp2(log2_odds(product_C[i], scale, bias_C[i]) - shift)
        for block in range(0, len(product_C), BLOCK):
            total += sum_block(odds_C, block)
    return total


@helper
def largest_log2(product_W, scale, bias_W, odds_C):
    """Return the largest of a row's logarithms."""
    largest = _MINUS_INFINITY
    for start in range(0, len(product_W), CHUNK):
        product_C, bias_C = product_W[start : start + CHUNK], bias_W[start : start + CHUNK]
        for i in range(len(product_C)):
            odds_C[i] = log2_odds(product_C[i], scale, bias_C[i])
        for block in range(0, len(product_C), BLOCK):
            largest = max(largest, largest_in_block(odds_C, block))
    return largest


@helper
def drawn_log2(product_PW, scale_P, bias_W, guidance, weight_W):
    """Write the logarithms to draw by: those of the model, or those that guidance makes of both branches."""
    own_W, own_scale = product_PW[0], scale_P[0]
    for i in range(len(weight_W)):
        weight_W[i] = log2_odds(own_W[i], own_scale, bias_W[i])
    if len(product_PW) > 1:
        other_W, other_scale = product_PW[1], scale_P[1]
        for i in range(len(weight_W)):
            other = log2_odds(other_W[i], other_scale, bias_W[i])
            weight_W[i] = fma(guidance, weight_W[i] - other, other)


@helper
def weigh_all(product_PW, scale_P, bias_W, guidance, factor, weight_W, odds_C, block_N):
    """Write every token's weight, 2^(factor log2 odds), and the sums of blocks; return the sum of its odds."""
    own_scale, total = scale_P[0], 0.0
    for start in range(0, len(weight_W), CHUNK):
        weight_C, bias_C = weight_W[start : start + CHUNK], bias_W[start : start + CHUNK]
        own_C = product_PW[0, start : start + CHUNK]
        if len(product_PW) == 1:
            for i in range(len(weight_C)):
                log2 = log2_odds(own_C[i], own_scale, bias_C[i])
                odds_C[i] = exp2(log2)
                weight_C[i] = exp2(log2 * factor)
        else:
            other_C, other_scale = product_PW[1, start : start + CHUNK], scale_P[1]
            for i in range(len(weight_C)):
                log2 = log2_odds(own_C[i], own_scale, bias_C[i])
                other = log2_odds(other_C[i], other_scale, bias_C[i])
                odds_C[i] = exp2(log2)
                weight_C[i] = exp2(fma(guidance, log2 - other, other) * factor)
        for block in range(0, len(weight_C), BLOCK):
            total += sum_block(odds_C, block)
            block_N[(start + block) // BLOCK] = sum_block(weight_W, start + block)
    return total


@helper
def sum_up(block_N, edge_X):
    """Write the distribution function after each block, in the order of ids; return the sum of all weights."""
    edge_X[0] = total = 0.0
    for block in range(len(block_N)):
        total += block_N[block]
        edge_X[block + 1] = total
    return total


@helper
def sum_blocks(weight_W, block_N):
    """Write the sum of each block."""
    for block in range(len(block_N)):
        block_N[block] = sum_block(weight_W, block * BLOCK)


@helper
def divide_by_largest(weight_W, factor):
    """Turn logarithms into weights, divided by the largest of them."""
    largest = max(largest_of(weight_W), _LEAST)
    for i in range(len(weight_W)):
        weight_W[i] = exp2((weight_W[i] - largest) * factor)


@helper
def is_exact(total):
    """Return whether single precision holds a sum without underflow or overflow."""
    return MIN_SUM < total < MAX_SUM


@helper
def invert(weight_W, edge_X, uniform):
    """Return the token at which the distribution function, in the order of ids, reaches a share of its sum."""
    height = uniform * edge_X[-1]
    low, high = 0, len(edge_X) - 2
    while low < high:
        middle = (low + high) // 2
        if edge_X[middle + 1] >= height:
            high = middle
        else:
            low = middle + 1
    rest, within = height - edge_X[low], 0.0
    token = low * BLOCK
    # Rounding may leave the height above the block's end; then the last token with any probability is drawn.
    for place in range(low * BLOCK, (low + 1) * BLOCK):
        weight = weight_W[place]
        if weight > _ZERO:
            token = place
            within += weight
            if within >= rest:
                break
    return token


@helper
def sum_above(weight_W, height):
    """Return the sum of the weights above one of them."""
    total = 0.0
    for start in range(0, len(weight_W), BLOCK):
        total += sum_block_above(weight_W, start, height)
    return total


@helper
def sum_from(weight_W, least):
    """Return the sum of the weights that are at least a number above 0."""
    return sum_above(weight_W, from_bits(np.int32(bits_of(least) - 1)))


@helper
def largest_of(weight_W):
    """Return the largest weight."""
    largest = _MINUS_INFINITY
    for start in range(0, len(weight_W), BLOCK):
        largest = max(largest, largest_in_block(weight_W, start))
    return largest


@helper
def is_dropped(weight_W, token, total, top_p, min_p):
    """Return whether min-p or top-p drop a token that was drawn; top-k is not considered."""
    height = weight_W[token]
    if min_p > 0:
        floor = np.float32(min_p) * largest_of(weight_W)
        if height < floor:
            return True
        if floor > _ZERO:
            total = sum_from(weight_W, floor)
    # A token stays while those above it have not reached top_p. They are at most all others: most draws need no sum.
    if top_p >= 1 or height > (1 - top_p) * total:
        return False
    return sum_above(weight_W, height) >= top_p * total


@helper
def count_from(weight_W, least):
    """Return the number of weights that are at least a number."""
    count = 0
    for start in range(0, len(weight_W), BLOCK):
        count += count_in_block(weight_W, start, least)
    return count


@helper
def least_of(weight_W, wanted):
    """Return a number that at least as many weights reach as wanted, and not many more; all do that are above 0."""
    low, high = 1, np.int64(bits_of(largest_of(weight_W))) + 1
    for _ in range(_BISECTIONS):
        if low >= high - 1:
            break
        middle = (low + high) // 2
        count = count_from(weight_W, from_bits(np.int32(middle)))
        if count < wanted:
            high = middle
        else:
            low = middle
            if count <= wanted + wanted // 4:
                break
    return from_bits(np.int32(low))


@helper
def window(weight_W, block_N, wanted, key_W):
    """Write the keys of the likeliest tokens, in ascending order, and return their number.

    They are at least as many as wanted, or all that have a weight. A key is the bits of the weight above the complement
    of the id, so that equal weights come in the order of ids from the end.
    """
    least, number = least_of(weight_W, wanted), 0
    for block in range(len(block_N)):
        # The sum of a block is at least its largest weight.
        if block_N[block] >= least:
            for place in range(block * BLOCK, (block + 1) * BLOCK):
                weight = weight_W[place]
                key_W[number] = (np.int64(bits_of(weight)) << 32) | (_LOW_BITS - place)
                number += weight >= least
    key_W[:number].sort()
    return number


@helper
def draw_sorted(weight_W, block_N, total, uniform, top_k, top_p, min_p, key_W, sum_W):
    """Return the token at which the filtered distribution function, likely tokens first, reaches a share of its sum.

    See `handlers.decoding.sampling.sorted_draw`: a window of the likeliest tokens widens while it may cut off a token
    that the filters keep.
    """
    wanted = min(max(int(top_k), 1), len(weight_W)) if top_k > 0 else _FIRST_WINDOW
    while True:
        count = window(weight_W, block_N, wanted, key_W)
        if count == 0:
            return 0
        is_whole = count < wanted or wanted >= len(weight_W)
        first = min(count, int(top_k)) if top_k > 0 else count
        floor = np.float32(min_p) * weight_of(key_W[count - 1], weight_W)
        running = 0.0
        for place in range(first):
            weight = weight_of(key_W[count - 1 - place], weight_W)
            if weight < floor:
                first = place
                break
            running += weight
            sum_W[place] = running
        is_cut = top_k > 0 or min_p > 0
        left = sum_W[first - 1] if is_cut else total
        kept = first
        if top_p < 1:
            reach = top_p * left
            kept = 1
            while kept < first and sum_W[kept - 1] < reach:
                kept += 1
        is_final = (first if is_cut else kept) < count or (top_k > 0 and top_k <= count)
        if is_whole or is_final:
            height = uniform * sum_W[kept - 1]
            place = 0
            while place < kept - 1 and sum_W[place] < height:
                place += 1
            return id_of(key_W[count - 1 - place])
        wanted *= _WIDER


@inlined
def id_of(key):
    """Return the token of a key."""
    return _LOW_BITS - (key & _LOW_BITS)


@inlined
def weight_of(key, weight_W):
    """Return the weight of a key's token."""
    return weight_W[id_of(key)]


@helper
def draw(weight_W, block_N, edge_X, uniforms_D, setting_N, key_W, sum_W):
    """Return a token of the filtered distribution; see `handlers.decoding.sampling.sampler.TokenWeights.choose`."""
    top_k, top_p, min_p = setting_N[1], setting_N[2], setting_N[3]
    total = edge_X[-1]
    if not (top_k > 0 or top_p < SORTED_BELOW_TOP_P or min_p > SORTED_ABOVE_MIN_P):
        for number in range(DRAWS - 1):
            token = invert(weight_W, edge_X, uniforms_D[number])
            if not is_dropped(weight_W, token, total, top_p, min_p):
                return token
    return draw_sorted(weight_W, block_N, total, uniforms_D[DRAWS - 1], top_k, top_p, min_p, key_W, sum_W)
