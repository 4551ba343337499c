"""The Triton kernel that chooses each row's next token and takes note of it: all of a step but its products.

One program per slot, with a row's whole distribution in registers. It draws as `handlers.decoding.sampling.sampler` does, with the same
random numbers: from the whole distribution, up to three times, until the filters let a token pass; then, or where the
filters let little pass, from the tokens in falling order. Nothing is sorted for that: the weight at which a sum in
falling order reaches a number is found by bisection over the bits of floating-point numbers, which are ordered as the
numbers are. So nothing waits for the host, however many draws a row takes.

What may not follow is what `handlers.decoding.constraints.grammar`, `handlers.decoding.constraints.word_repeats` and `handlers.decoding.constraints.token_constraints` say, from tables over the whole
vocabulary instead of lists.

Shapes: S slots, M rows, W tokens padded to whole blocks, T places of a sentence, D banned words. In registers, V is
the power of two from W on.
"""

from __future__ import annotations

import triton
import triton.language as tl

from handlers.decoding.constraints.word_repeats import AFTER_SPACE
from handlers.decoding.gpu.kernels import layout
from handlers.decoding.gpu.kernels.random_numbers import uniform
from handlers.decoding.sampling.filters import SORTED_ABOVE_MIN_P, SORTED_BELOW_TOP_P
from handlers.decoding.sampling.sampler import DRAWS
from handlers.model.vocabulary import EOS_ID

_AFTER_SPACE = tl.constexpr(AFTER_SPACE)
_DRAWS = tl.constexpr(DRAWS)
_EOS = tl.constexpr(EOS_ID)
_SORTED_BELOW_TOP_P = tl.constexpr(SORTED_BELOW_TOP_P)
_SORTED_ABOVE_MIN_P = tl.constexpr(SORTED_ABOVE_MIN_P)
_BITS_OF_1 = tl.constexpr(0x3F800000)
_STEPS_TO_1 = tl.constexpr(30)


@triton.jit
def weight_reaching(weight_V, measure_V, aim):
    """Of weights from 0 to 1, the largest w such that the measures of all that are not below w reach the aim.

    It must be reached by all that are above 0 together. Float32, and its bits.
    """
    bits_V = weight_V.to(tl.int32, bitcast=True)
    low = tl.full((), 1, tl.int32)
    high = tl.full((), _BITS_OF_1 + 1, tl.int32)
    for _ in range(_STEPS_TO_1):
        middle = (low + high) // 2
        is_enough = tl.sum(tl.where(bits_V >= middle, measure_V, 0.0)) >= aim
        low = tl.where(is_enough, middle, low)
        high = tl.where(is_enough, high, middle)
    return low.to(tl.float32, bitcast=True)


@triton.jit
def invert_sorted(weight_V, ids_V, aim, V: tl.constexpr):
    """The token at which the weights' sum in falling order, equal ones in the order of ids, reaches a number.

    And the sum with that token.
    """
    aim = tl.minimum(aim, tl.sum(weight_V))
    height = weight_reaching(weight_V, weight_V, aim)
    above = tl.sum(tl.where(weight_V > height, weight_V, 0.0))
    is_equal_V = weight_V == height
    number = tl.ceil((aim - above) / height).to(tl.int32)
    number = tl.maximum(tl.minimum(number, tl.sum(is_equal_V.to(tl.int32))), 1)
    place_V = tl.cumsum(is_equal_V.to(tl.int32), 0)
    token = tl.min(tl.where(is_equal_V & (place_V == number), ids_V, V))
    return token, above + number * height


@triton.jit
def keep_top_k(weight_V, number):
    """The weights of the likeliest tokens, equal ones in the order of ids; 0 for all others."""
    one_V = tl.where(weight_V > 0, 1.0, 0.0)
    if tl.sum(one_V) > number:
        height = weight_reaching(weight_V, one_V, number.to(tl.float32))
        is_equal_V = weight_V == height
        left = number - tl.sum((weight_V > height).to(tl.int32))
        place_V = tl.cumsum(is_equal_V.to(tl.int32), 0)
        weight_V = tl.where((weight_V > height) | (is_equal_V & (place_V <= left)), weight_V, 0.0)
    return weight_V


@triton.jit
def draw_sorted(weight_V, ids_V, settings, top_k, number, V: tl.constexpr):
    """The token at which the filtered distribution function, likely tokens first, reaches a share of its sum."""
    top_p, min_p = tl.load(settings + layout.TOP_P), tl.load(settings + layout.MIN_P)
    if top_k > 0:
        weight_V = keep_top_k(weight_V, top_k)
    weight_V = tl.where(weight_V >= min_p, weight_V, 0.0)
    total = tl.sum(weight_V)
    if top_p < 1:
        _, total = invert_sorted(weight_V, ids_V, top_p * total, V)
    token, _ = invert_sorted(weight_V, ids_V, (number * total).to(tl.float32), V)
    return token


@triton.jit
def is_dropped(weight_V, height, total, settings):
    """Whether min-p or top-p drop a token of a weight; the largest is 1."""
    top_p, min_p = tl.load(settings + layout.TOP_P), tl.load(settings + layout.MIN_P)
    dropped = height < min_p
    # All others are above it at most: most draws need no look at them.
    if (top_p < 1) & (height <= (1 - top_p) * total):
        kept = tl.sum(tl.where(weight_V >= min_p, weight_V, 0.0))
        dropped = dropped | (tl.sum(tl.where(weight_V > height, weight_V, 0.0)) >= top_p * kept)
    return dropped


@triton.jit
def draw(weight_V, ids_V, settings, top_k, seed, place, V: tl.constexpr):
    """One token of the filtered distribution; the random numbers are those from a place of the row's stream on."""
    top_p, min_p = tl.load(settings + layout.TOP_P), tl.load(settings + layout.MIN_P)
    total = tl.sum(weight_V)
    cumulative_V = tl.cumsum(weight_V, 0)
    last = tl.max(tl.where(weight_V > 0, ids_V, 0))
    token = last
    number = 0
    is_sorted = (top_k > 0) | (top_p < _SORTED_BELOW_TOP_P) | (min_p > _SORTED_ABOVE_MIN_P)
    is_open = (total > 0) & (is_sorted == 0)
    while is_open:
        height = (uniform(seed, place + number) * total).to(tl.float32)
        # Rounding may leave the height above the end; the last token with any probability has it then.
        token = tl.minimum(tl.min(tl.where((cumulative_V >= height) & (weight_V > 0), ids_V, V)), last)
        weight = tl.sum(tl.where(ids_V == token, weight_V, 0.0))
        dropped = is_dropped(weight_V, weight, total, settings)
        number += 1
        is_sorted = dropped & (number == _DRAWS - 1)
        is_open = dropped & (number < _DRAWS - 1)
    if is_sorted & (total > 0):
        token = draw_sorted(weight_V, ids_V, settings, top_k, uniform(seed, place + _DRAWS - 1), V)
    return tl.where(total > 0, token, _EOS)


@triton.jit
def repeats_ngram(tokens_T, length, size, ids_V, T: tl.constexpr):
    """Tokens that would complete an n-gram which the row holds already; see `handlers.decoding.constraints.ngrams`."""
    places_T = tl.arange(0, T)
    follows_T = (places_T >= size - 1) & (places_T < length)
    for back in range(1, size):
        before_T = tl.load(tokens_T + places_T - back, mask=places_T >= back, other=-1)
        last = tl.load(tokens_T + tl.maximum(length - back, 0))
        follows_T = follows_T & (before_T == last)
    repeated_V = ids_V < 0
    for place in range(length):
        follows = tl.sum(tl.where(places_T == place, follows_T.to(tl.int32), 0)) > 0
        repeated_V = repeated_V | ((ids_V == tl.load(tokens_T + place)) & follows)
    return repeated_V


@triton.jit
def repeats_word(ids_V, inside_V, token_ints, token_longs, words, W: tl.constexpr):
    """Tokens that would make the word that the row is writing the one before it."""
    current, inverse, previous = tl.load(words), tl.load(words + 2), tl.load(words + 3)
    again, goes_on = current * _AFTER_SPACE, (previous - current) * inverse
    low_V = tl.load(token_ints + layout.LOW_KEY * W + ids_V, mask=inside_V, other=0)
    # Halves of the keys tell nearly all apart, and are half the reading.
    near_V = inside_V & ((low_V == again.to(tl.int32)) | (low_V == goes_on.to(tl.int32)))
    key_V = tl.load(token_longs + layout.KEY * W + ids_V, mask=near_V, other=0)
    return near_V & (key_V != 0) & ((key_V == again) | (key_V == goes_on))


@triton.jit
def is_bad_word(ids_V, inside_V, token_longs, words, hashes_D, contains_bad_word_W, number, W: tl.constexpr):
    """Tokens that hold one of the row's banned words, or with which its word would become one."""
    current, inverse = tl.load(words), tl.load(words + 2)
    key_V = tl.load(token_longs + layout.KEY * W + ids_V, mask=inside_V, other=0)
    banned_V = tl.load(contains_bad_word_W + ids_V, mask=inside_V, other=0) != 0
    for word in range(number):
        completing = (tl.load(hashes_D + word) - current) * inverse
        banned_V = banned_V | ((key_V == completing) & (key_V != 0))
    return banned_V


@triton.jit
def advance_state(token, ints, words, token_ints, token_longs, W: tl.constexpr):
    """The row's state after a token; see `handlers.decoding.constraints.grammar` and `handlers.decoding.constraints.word_repeats`."""
    state = tl.load(ints + layout.STATE)
    kept, put = tl.load(token_ints + layout.KEEP * W + token), tl.load(token_ints + layout.PUT * W + token)
    tl.store(ints + layout.STATE, ((state & kept) | put) ^ tl.load(token_ints + layout.FLIP * W + token))
    current, power = tl.load(words), tl.load(words + 1)
    inverse, previous = tl.load(words + 2), tl.load(words + 3)
    goes_on = tl.load(token_ints + layout.GOES_ON * W + token) != 0
    cuts = tl.load(token_ints + layout.CUTS * W + token) != 0
    power, inverse = tl.where(goes_on, power, 1), tl.where(goes_on, inverse, 1)
    before = tl.where(cuts, 0, tl.where(current != 0, current, previous))
    hashed = tl.load(token_longs + layout.HASH * W + token)
    tl.store(words, tl.where(goes_on, current, 0) + power * hashed)
    tl.store(words + 1, power * tl.load(token_longs + layout.POWER * W + token))
    tl.store(words + 2, inverse * tl.load(token_longs + layout.INVERSE * W + token))
    tl.store(words + 3, tl.where(goes_on, previous, before))


@triton.jit
def choice_kernel(
    log2_MW,
    token_S,
    ended_S,
    ints_S,
    longs_S,
    settings_S,
    log2_prob_S,
    tokens_ST,
    hashes_SD,
    contains_bad_word_SW,
    state_forbids,
    token_ints,
    token_longs,
    vocabulary_size,
    first_number,
    W: tl.constexpr,
    T: tl.constexpr,
    D: tl.constexpr,
    V: tl.constexpr,
    PER_SLOT: tl.constexpr,
):
    """Each slot's next token: drawn, written, and the row ended if it was the last.

    Args:
        log2_MW: logarithms of the odds to base 2; of a guided slot its row and then the row's shadow.
        state_forbids: for each state of `handlers.decoding.constraints.grammar`, whether a token is forbidden; int8 [states, W].
        first_number: random numbers at the start of a row's stream that are not for tokens.
    """
    slot = tl.program_id(0).to(tl.int64)
    if tl.load(ended_S + slot) != 0:
        return
    ints, words = ints_S + slot * layout.SLOT_INTS, longs_S + slot * layout.SLOT_LONGS + layout.WORD_STATE
    settings = settings_S + slot * layout.SLOT_FLOATS
    ids_V = tl.arange(0, V)
    inside_V = ids_V < vocabulary_size
    row = log2_MW + slot * PER_SLOT * W
    log2_V = tl.load(row + ids_V, mask=inside_V, other=float("-inf"))
    best = tl.max(log2_V)
    normaliser = best + tl.log2(tl.sum(tl.exp2(log2_V - best)))
    if PER_SLOT == 2:
        shadow_V = tl.load(row + W + ids_V, mask=inside_V, other=0.0)
        # What pads the vocabulary is forbidden below; here it only must be a number.
        own_V = tl.where(inside_V, log2_V, 0.0)
        log2_V = shadow_V + tl.load(settings + layout.GUIDANCE) * (own_V - shadow_V)

    length, last = tl.load(ints + layout.LENGTH), tl.load(token_S + slot)
    forbidden_V = tl.load(state_forbids + tl.load(ints + layout.STATE) * W + ids_V, mask=inside_V, other=1) != 0
    forbidden_V = forbidden_V | (ids_V == last)
    forbidden_V = forbidden_V | ((ids_V == _EOS) & (length + 1 < tl.load(ints + layout.MIN_TOKENS)))
    forbidden_V = forbidden_V | repeats_word(ids_V, inside_V, token_ints, token_longs, words, W)
    ngram, number = tl.load(ints + layout.NO_REPEAT_NGRAM_SIZE), tl.load(ints + layout.BAD_WORDS)
    if ngram > 0:
        forbidden_V = forbidden_V | repeats_ngram(tokens_ST + slot * T, length, ngram, ids_V, T)
    if number > 0:
        forbidden_V = forbidden_V | is_bad_word(
            ids_V, inside_V, token_longs, words, hashes_SD + slot * D, contains_bad_word_SW + slot * W, number, W
        )

    log2_V = tl.where(forbidden_V, float("-inf"), log2_V)
    best = tl.maximum(tl.max(log2_V), -3e38)
    weight_V = tl.exp2((log2_V - best) * tl.load(settings + layout.INVERSE_TEMPERATURE))
    seed = tl.load(longs_S + slot * layout.SLOT_LONGS + layout.SEED)
    place = first_number + length * _DRAWS
    token = draw(weight_V, ids_V, settings, tl.load(ints + layout.TOP_K), seed, place, V)

    log2_prob = tl.load(log2_prob_S + slot) + (tl.load(row + token) - normaliser).to(tl.float64)
    tl.store(log2_prob_S + slot, log2_prob)
    tl.store(tokens_ST + slot * T + length, token)
    advance_state(token, ints, words, token_ints, token_longs, W)
    tl.store(token_S + slot, token)
    tl.store(ints + layout.LENGTH, length + 1)
    ended = (token == _EOS) | (length + 1 >= tl.load(ints + layout.MAX_TOKENS))
    tl.store(ended_S + slot, ended.to(tl.int32))
