"""Triton kernel that draws each sequence's next token and updates its state: a whole step but its products.

One program per slot holds a whole distribution in registers. It draws as `handlers.decoding.sampling.sampler`, with the
same random numbers: up to three times from the whole distribution until the filters keep a token; then, or from the
start where the filters keep little, from the tokens in descending order. Nothing is sorted for that. The weight at
which a sum in descending order reaches a number is found by bisection over the bits of floating-point numbers, which
have the same order as the numbers. So no draw waits for the host.

The forbidden tokens are those of `handlers.decoding.constraints`, from tables over the whole vocabulary instead of
lists.

Shapes: S slots, M rows, W tokens padded to whole blocks, T token positions, D bad words, V the power of two from W on:
the width of a distribution in registers; N nodes of the lexicon, J = N + 1 edges of nodes, E edges, G contexts and the
inside of words.
"""

from __future__ import annotations

import triton
import triton.language as tl

from handlers.decoding.constraints.name_repeats import BEFORE_NAME, LIST_MARK, NAME
from handlers.decoding.constraints.word_repeats import AFTER_SPACE
from handlers.decoding.gpu.kernels import layout, lexicon
from handlers.decoding.gpu.kernels.random_numbers import uniform
from handlers.decoding.sampling.filters import SORTED_ABOVE_MIN_P, SORTED_BELOW_TOP_P
from handlers.decoding.sampling.sampler import DRAWS
from handlers.model.vocabulary import EOS_ID

_AFTER_SPACE = tl.constexpr(AFTER_SPACE)
_BEFORE_NAME = tl.constexpr(BEFORE_NAME)
_DRAWS = tl.constexpr(DRAWS)
_LIST_MARK = tl.constexpr(LIST_MARK)
_NAME = tl.constexpr(NAME)
_EOS = tl.constexpr(EOS_ID)
_SORTED_BELOW_TOP_P = tl.constexpr(SORTED_BELOW_TOP_P)
_SORTED_ABOVE_MIN_P = tl.constexpr(SORTED_ABOVE_MIN_P)
_BITS_OF_1 = tl.constexpr(0x3F800000)
_NUM_BISECTIONS = tl.constexpr(30)


@triton.jit
def weight_reaching(weight_V, measure_V, target):
    """Return the largest weight w such that the measures of all tokens with weights of at least w reach a target.

    Weights are float32 from 0 to 1; the measures of all weights above 0 together must reach the target.
    """
    bits_V = weight_V.to(tl.int32, bitcast=True)
    low = tl.full((), 1, tl.int32)
    high = tl.full((), _BITS_OF_1 + 1, tl.int32)
    for _ in range(_NUM_BISECTIONS):
        middle = (low + high) // 2
        is_reached = tl.sum(tl.where(bits_V >= middle, measure_V, 0.0)) >= target
        low = tl.where(is_reached, middle, low)
        high = tl.where(is_reached, high, middle)
    return low.to(tl.float32, bitcast=True)


@triton.jit
def invert_sorted(weight_V, ids_V, target, V: tl.constexpr):
    """Return the token at which the sum of the weights in descending order reaches a target, and that sum.

    Equal weights are in the order of ids.
    """
    target = tl.minimum(target, tl.sum(weight_V))
    threshold = weight_reaching(weight_V, weight_V, target)
    above = tl.sum(tl.where(weight_V > threshold, weight_V, 0.0))
    is_equal_V = weight_V == threshold
    number = tl.ceil((target - above) / threshold).to(tl.int32)
    number = tl.maximum(tl.minimum(number, tl.sum(is_equal_V.to(tl.int32))), 1)
    place_V = tl.cumsum(is_equal_V.to(tl.int32), 0)
    token = tl.min(tl.where(is_equal_V & (place_V == number), ids_V, V))
    return token, above + number * threshold


@triton.jit
def keep_top_k(weight_V, number):
    """Keep the largest weights, equal ones in the order of ids, and set the others to 0."""
    one_V = tl.where(weight_V > 0, 1.0, 0.0)
    if tl.sum(one_V) > number:
        threshold = weight_reaching(weight_V, one_V, number.to(tl.float32))
        is_equal_V = weight_V == threshold
        left = number - tl.sum((weight_V > threshold).to(tl.int32))
        place_V = tl.cumsum(is_equal_V.to(tl.int32), 0)
        weight_V = tl.where((weight_V > threshold) | (is_equal_V & (place_V <= left)), weight_V, 0.0)
    return weight_V


@triton.jit
def draw_sorted(weight_V, ids_V, settings, top_k, number, V: tl.constexpr):
    """Return the token at which the filtered distribution function, likely tokens first, reaches a share of its sum."""
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
def is_dropped(weight_V, weight, total, settings):
    """Return whether min-p or top-p drop a token of some weight, given that the largest weight is 1."""
    top_p, min_p = tl.load(settings + layout.TOP_P), tl.load(settings + layout.MIN_P)
    dropped = weight < min_p
    # The sum of the weights above it is at most that of all others; for most draws this bound decides.
    if (top_p < 1) & (weight <= (1 - top_p) * total):
        kept = tl.sum(tl.where(weight_V >= min_p, weight_V, 0.0))
        dropped = dropped | (tl.sum(tl.where(weight_V > weight, weight_V, 0.0)) >= top_p * kept)
    return dropped


@triton.jit
def draw(weight_V, ids_V, settings, top_k, seed, index, V: tl.constexpr):
    """Draw a token of the filtered distribution, with random numbers from an index of the sequence's stream on."""
    top_p, min_p = tl.load(settings + layout.TOP_P), tl.load(settings + layout.MIN_P)
    total = tl.sum(weight_V)
    cumulative_V = tl.cumsum(weight_V, 0)
    last = tl.max(tl.where(weight_V > 0, ids_V, 0))
    token = last
    number = 0
    is_sorted = (top_k > 0) | (top_p < _SORTED_BELOW_TOP_P) | (min_p > _SORTED_ABOVE_MIN_P)
    is_open = (total > 0) & (is_sorted == 0)
    while is_open:
        target = (uniform(seed, index + number) * total).to(tl.float32)
        # Rounding may leave the target above the sum; then the last token with any probability is drawn.
        token = tl.minimum(tl.min(tl.where((cumulative_V >= target) & (weight_V > 0), ids_V, V)), last)
        weight = tl.sum(tl.where(ids_V == token, weight_V, 0.0))
        dropped = is_dropped(weight_V, weight, total, settings)
        number += 1
        is_sorted = dropped & (number == _DRAWS - 1)
        is_open = dropped & (number < _DRAWS - 1)
    if is_sorted & (total > 0):
        token = draw_sorted(weight_V, ids_V, settings, top_k, uniform(seed, index + _DRAWS - 1), V)
    return tl.where(total > 0, token, _EOS)


@triton.jit
def is_at(tokens_T, chosen_T, length, ids_V, T: tl.constexpr):
    """Return the tokens at some positions of a sequence; mostly there are none."""
    found_V, position_T = ids_V < 0, tl.arange(0, T)
    if tl.sum(chosen_T.to(tl.int32)) > 0:
        for place in range(length):
            chosen = tl.sum(tl.where(position_T == place, chosen_T.to(tl.int32), 0)) > 0
            found_V = found_V | ((ids_V == tl.load(tokens_T + place)) & chosen)
    return found_V


@triton.jit
def repeats_ngram(tokens_T, length, size, T: tl.constexpr):
    """Return where the tokens are that would repeat an n-gram, see `handlers.decoding.constraints.ngrams`."""
    position_T = tl.arange(0, T)
    follows_T = (size > 0) & (position_T >= size - 1) & (position_T < length)
    for back in range(1, size):
        before_T = tl.load(tokens_T + position_T - back, mask=position_T >= back, other=-1)
        last = tl.load(tokens_T + tl.maximum(length - back, 0))
        follows_T = follows_T & (before_T == last)
    return follows_T


@triton.jit
def repeats_word(ids_V, inside_V, token_ints, token_longs, words, W: tl.constexpr):
    """Return the tokens that would make the current word equal to the one before."""
    current, inverse, previous = tl.load(words), tl.load(words + 2), tl.load(words + 3)
    again, continues = current * _AFTER_SPACE, (previous - current) * inverse
    low_V = tl.load(token_ints + layout.KEY_LOW_HALF * W + ids_V, mask=inside_V, other=0)
    # Half of each key distinguishes nearly all tokens, and takes half of the reading.
    candidate_V = inside_V & ((low_V == again.to(tl.int32)) | (low_V == continues.to(tl.int32)))
    key_V = tl.load(token_longs + layout.KEY * W + ids_V, mask=candidate_V, other=0)
    return candidate_V & (key_V != 0) & ((key_V == again) | (key_V == continues))


@triton.jit
def is_bad_word(ids_V, inside_V, token_longs, words, hashes_D, contains_bad_word_W, number, W: tl.constexpr):
    """Return the tokens that contain a bad word, or that would make the current word equal to one."""
    current, inverse = tl.load(words), tl.load(words + 2)
    key_V = tl.load(token_longs + layout.KEY * W + ids_V, mask=inside_V, other=0)
    banned_V = tl.load(contains_bad_word_W + ids_V, mask=inside_V, other=0) != 0
    for word in range(number):
        completing = (tl.load(hashes_D + word) - current) * inverse
        banned_V = banned_V | ((key_V == completing) & (key_V != 0))
    return banned_V


@triton.jit
def repeats_name(tokens_T, length, last, token_ints, W: tl.constexpr, T: tl.constexpr):
    """Return where the tokens are that would repeat a name, see `handlers.decoding.constraints.name_repeats`."""
    kinds = token_ints + layout.NAME_KIND * W
    kind = tl.load(kinds + last)
    position_T = tl.arange(0, T)
    token_T = tl.load(tokens_T + position_T, mask=position_T < length, other=0)
    before_T = tl.load(tokens_T + position_T - 1, mask=(position_T > 0) & (position_T < length), other=-1)
    follows_T = ((kind & _BEFORE_NAME) != 0) & (before_T == last)
    is_listed_T = ((kind & _LIST_MARK) != 0) & (position_T == length - 2)
    is_name_T = (tl.load(kinds + token_T) & _NAME) != 0
    return (follows_T | is_listed_T) & is_name_T


@triton.jit
def has_ended(token, length, max_tokens):
    """Return `handlers.decoding.ending.has_ended`, which Triton cannot call."""
    return (token == _EOS) | (length >= max_tokens)


@triton.jit
def advance_state(token, ints, words, token_ints, token_longs, W: tl.constexpr):
    """Store the state after a token, see `handlers.decoding.constraints.grammar` and `word_repeats`."""
    state = tl.load(ints + layout.STATE)
    kept, put = tl.load(token_ints + layout.KEEP * W + token), tl.load(token_ints + layout.PUT * W + token)
    tl.store(ints + layout.STATE, ((state & kept) | put) ^ tl.load(token_ints + layout.FLIP * W + token))
    current, power = tl.load(words), tl.load(words + 1)
    inverse, previous = tl.load(words + 2), tl.load(words + 3)
    continues = tl.load(token_ints + layout.CONTINUES * W + token) != 0
    cuts = tl.load(token_ints + layout.CUTS * W + token) != 0
    power, inverse = tl.where(continues, power, 1), tl.where(continues, inverse, 1)
    before = tl.where(cuts, 0, tl.where(current != 0, current, previous))
    hashed = tl.load(token_longs + layout.HASH * W + token)
    tl.store(words, tl.where(continues, current, 0) + power * hashed)
    tl.store(words + 1, power * tl.load(token_longs + layout.POWER * W + token))
    tl.store(words + 2, inverse * tl.load(token_longs + layout.INVERSE * W + token))
    tl.store(words + 3, tl.where(continues, previous, before))


@triton.jit
def choice_kernel(
    log2_MW,
    token_S,
    ended_S,
    ints_S,
    longs_S,
    settings_S,
    log2_prob_S,
    log2_probs_ST,
    tokens_ST,
    hashes_SD,
    contains_bad_word_SW,
    state_forbids,
    token_ints,
    token_longs,
    context_N,
    first_edge_J,
    token_E,
    mask_GW,
    entry_GW,
    marks_SW,
    vocabulary_size,
    first_number,
    first_child,
    inside_words,
    W: tl.constexpr,
    T: tl.constexpr,
    D: tl.constexpr,
    V: tl.constexpr,
    K: tl.constexpr,
    PER_SLOT: tl.constexpr,
):
    """Draw and store each slot's next token, update its state, and end the sequence if it was the last token.

    Args:
        log2_MW: base-2 logarithms of the odds; in a guided slot, a row with genres and then an unconditional one.
        state_forbids: whether each state of `handlers.decoding.constraints.grammar` forbids a token; int8 [states, W].
        context_N: context of each node of the lexicon; this and the next five are not read where K is 0.
        first_number: index of the first random number for tokens in a sequence's stream.
        first_child: node at the end of the lexicon's first edge.
        inside_words: context of a node within a word.
        K: maximum number of edges of a node, padded; 0 without a lexicon.
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
        unconditional_V = tl.load(row + W + ids_V, mask=inside_V, other=0.0)
        # The padding is forbidden below; here it only has to be a number.
        conditional_V = tl.where(inside_V, log2_V, 0.0)
        log2_V = unconditional_V + tl.load(settings + layout.GUIDANCE) * (conditional_V - unconditional_V)

    length, last = tl.load(ints + layout.LENGTH), tl.load(token_S + slot)
    forbidden_V = tl.load(state_forbids + tl.load(ints + layout.STATE) * W + ids_V, mask=inside_V, other=1) != 0
    forbidden_V = forbidden_V | (ids_V == last)
    forbidden_V = forbidden_V | ((ids_V == _EOS) & (length + 1 < tl.load(ints + layout.MIN_TOKENS)))
    forbidden_V = forbidden_V | repeats_word(ids_V, inside_V, token_ints, token_longs, words, W)
    ngram, number = tl.load(ints + layout.NO_REPEAT_NGRAM_SIZE), tl.load(ints + layout.BAD_WORDS)
    repeats_T = repeats_ngram(tokens_ST + slot * T, length, ngram, T)
    if K > 0:
        repeats_T = repeats_T | repeats_name(tokens_ST + slot * T, length, last, token_ints, W, T)
    forbidden_V = forbidden_V | is_at(tokens_ST + slot * T, repeats_T, length, ids_V, T)
    bad_V = ids_V >= vocabulary_size
    if number > 0:
        bad_V = bad_V | is_bad_word(
            ids_V, inside_V, token_longs, words, hashes_SD + slot * D, contains_bad_word_SW + slot * W, number, W
        )
    if K > 0:
        node = tl.load(ints + layout.NODE)
        bad_V = bad_V | lexicon.forbids(
            ids_V, inside_V, node, context_N, first_edge_J, token_E, mask_GW, marks_SW + slot * W, W, K
        )
        if tl.load(context_N + node) == inside_words:
            forbidden_V = lexicon.unless_stuck(forbidden_V, bad_V)

    log2_V = tl.where(forbidden_V | bad_V, float("-inf"), log2_V)
    best = tl.maximum(tl.max(log2_V), -3e38)
    weight_V = tl.exp2((log2_V - best) * tl.load(settings + layout.INVERSE_TEMPERATURE))
    seed = tl.load(longs_S + slot * layout.SLOT_LONGS + layout.SEED)
    place = first_number + length * _DRAWS
    token = draw(weight_V, ids_V, settings, tl.load(ints + layout.TOP_K), seed, place, V)

    log2_prob = tl.load(row + token) - normaliser
    tl.store(log2_probs_ST + slot * T + length, log2_prob)
    tl.store(log2_prob_S + slot, tl.load(log2_prob_S + slot) + log2_prob.to(tl.float64))
    tl.store(tokens_ST + slot * T + length, token)
    advance_state(token, ints, words, token_ints, token_longs, W)
    if K > 0:
        lexicon.advance(token, ints + layout.NODE, context_N, first_edge_J, token_E, entry_GW, first_child, W, K)
    tl.store(token_S + slot, token)
    tl.store(ints + layout.LENGTH, length + 1)
    ended = has_ended(token, length + 1, tl.load(ints + layout.MAX_TOKENS))
    tl.store(ended_S + slot, ended.to(tl.int32))
