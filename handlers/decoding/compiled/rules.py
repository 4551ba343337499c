"""Tokens that the constraints forbid a row, and its state after a token: `handlers.decoding.constraints`, compiled.

All of it is in `handlers.decoding.rule_tables`; this is the reading of these tables, one row at a time.

Shapes: F found tokens or numbers of a sequence's state, T token positions, V tokens, C columns of a token's numbers, Q
keys, K tokens that share one, B bad words of a list, S states of the grammar, N nodes of the lexicon, J = N + 1 edges
of nodes, E edges, G contexts and the inside of words.
"""

from __future__ import annotations

from handlers.decoding import rule_tables as columns
from handlers.decoding.compiled.vectors import helper
from handlers.decoding.constraints.name_repeats import BEFORE_NAME, LIST_MARK, NAME
from handlers.decoding.constraints.word_repeats import AFTER_SPACE
from handlers.decoding.ending import has_ended
from handlers.decoding.slots import GRAMMAR, LENGTH, MAX_TOKENS, TOKEN, WORD_STATE
from handlers.model.vocabulary import EOS_ID, PAD_ID

_has_ended = helper(has_ended)


@helper
def place_of(sorted_Q, value):
    """Return the place of a number among ascending ones, or -1."""
    low, high = 0, len(sorted_Q)
    while low < high:
        middle = (low + high) // 2
        if sorted_Q[middle] < value:
            low = middle + 1
        else:
            high = middle
    return low if low < len(sorted_Q) and sorted_Q[low] == value else -1


@helper
def add_tokens_of(key, keys_Q, tokens_QK, found_F, count):
    """Add the tokens that have a key; return the number of tokens that were found."""
    place = place_of(keys_Q, key)
    if place >= 0:
        for token in tokens_QK[place]:
            found_F[count] = token
            count += 1
    return count


@helper
def add_bad_words(state_F, hashes_B, containing_F, keys_Q, tokens_QK, found_F):
    """Find the tokens that would write a bad word, the padding token first; return their number."""
    found_F[0], count = PAD_ID, 1
    current, inverse = state_F[WORD_STATE], state_F[WORD_STATE + 2]
    for token in containing_F:
        found_F[count] = token
        count += 1
    for hashed in hashes_B:
        if hashed != 0:
            count = add_tokens_of((hashed - current) * inverse, keys_Q, tokens_QK, found_F, count)
    return count


@helper
def add_repeated(state_F, tokens_T, size, token_VC, has_names, found_F, count):
    """Add the tokens that would repeat an n-gram or a name; return the number of tokens that were found."""
    length = state_F[LENGTH]
    if size > 0:
        for place in range(size - 1, length):
            back = 1
            while back < size and tokens_T[place - back] == tokens_T[length - back]:
                back += 1
            if back >= size:
                found_F[count] = tokens_T[place]
                count += 1
    if not has_names or length == 0:
        return count
    kind = token_VC[state_F[TOKEN], columns.NAME_KIND]
    if kind & LIST_MARK and length > 1 and token_VC[tokens_T[length - 2], columns.NAME_KIND] & NAME:
        found_F[count] = tokens_T[length - 2]
        count += 1
    if kind & BEFORE_NAME:
        for place in range(1, length):
            follows = tokens_T[place - 1] == tokens_T[length - 1]
            if follows and token_VC[tokens_T[place], columns.NAME_KIND] & NAME:
                found_F[count] = tokens_T[place]
                count += 1
    return count


@helper
def add_avoided(state_F, tokens_T, asked_3, grammar_SF, token_VC, keys_Q, tokens_QK, has_names, found_F, count):
    """Add the other forbidden tokens; return the number of tokens that were found."""
    for token in grammar_SF[state_F[GRAMMAR]]:
        found_F[count] = token
        count += 1
    current, inverse, previous = state_F[WORD_STATE], state_F[WORD_STATE + 2], state_F[WORD_STATE + 3]
    count = add_tokens_of(current * AFTER_SPACE, keys_Q, tokens_QK, found_F, count)
    count = add_tokens_of((previous - current) * inverse, keys_Q, tokens_QK, found_F, count)
    found_F[count] = state_F[TOKEN]
    count += 1
    if state_F[LENGTH] + 1 < asked_3[0]:
        found_F[count] = EOS_ID
        count += 1
    return add_repeated(state_F, tokens_T, asked_3[1], token_VC, has_names, found_F, count)


@helper
def advance_words(state_F, number_C):
    """Write the hash state of the words after a token."""
    current, power = state_F[WORD_STATE], state_F[WORD_STATE + 1]
    inverse, previous = state_F[WORD_STATE + 2], state_F[WORD_STATE + 3]
    if not number_C[columns.CONTINUES]:
        previous = 0 if number_C[columns.CUTS] else (current if current != 0 else previous)
        current, power, inverse = 0, 1, 1
    state_F[WORD_STATE] = current + power * number_C[columns.HASH]
    state_F[WORD_STATE + 1] = power * number_C[columns.POWER]
    state_F[WORD_STATE + 2] = inverse * number_C[columns.INVERSE]
    state_F[WORD_STATE + 3] = previous


@helper
def node_after(node, token, context_N, first_edge_J, token_E, entry_GV, first_child):
    """Return the node of the lexicon after a token."""
    first = first_edge_J[node]
    place = place_of(token_E[first : first_edge_J[node + 1]], token)
    return first_child + first + place if place >= 0 else entry_GV[context_N[node], token]


@helper
def advance(state_F, token, token_VC):
    """Write a row's state after a token, but for its node of the lexicon; return whether the row has ended."""
    number_C = token_VC[token]
    state_F[TOKEN] = token
    state_F[LENGTH] += 1
    state_F[GRAMMAR] = ((state_F[GRAMMAR] & number_C[columns.KEEP]) | number_C[columns.PUT]) ^ number_C[columns.FLIP]
    advance_words(state_F, number_C)
    return _has_ended(token, state_F[LENGTH], state_F[MAX_TOKENS])
