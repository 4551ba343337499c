"""Entries of the compiled decode: everything of a step but its three products, one row after the other.

A row is computed from its own numbers in one order, so it is the same to the last bit in any batch, at any place, in
any number of threads.

Shapes: M rows, H hidden, G = 4 H gates, E embedding, V tokens, W tokens padded to whole blocks, S slots, P rows of a
slot.
"""

from __future__ import annotations

import numpy as np

from handlers.decoding.compiled import rows
from handlers.decoding.compiled.vectors import sigmoid

_TWO, _FOUR, _HALF = np.float32(2), np.float32(4), np.float32(0.5)
_LEAST_SCALE = np.float32(1e-30)


def advance_cells(first, last, per_slot, gates_MG, table_VG, token_S, context_MG, cell_MH, hidden_MH):
    """Write the states of some rows after their last tokens; see `handlers.decoding.step`.

    Args:
        first: first row.
        last: row behind the last.
        per_slot: rows of a slot, 2 with guidance.
        gates_MG: product of the hidden state.
        table_VG: share of each token in the gates.
        token_S: last token of each slot.
        context_MG: share of each row's context in the gates.
        cell_MH: 2 c.
        hidden_MH: h / 2.
    """
    size = cell_MH.shape[1]
    for row in range(first, last):
        product_G, table_G, context_G = gates_MG[row], table_VG[token_S[row // per_slot]], context_MG[row]
        cell_H, hidden_H = cell_MH[row], hidden_MH[row]
        for gate in range(0, 4 * size, size):
            part_H, table_H, context_H = product_G[gate:], table_G[gate:], context_G[gate:]
            for i in range(size):
                part_H[i] = sigmoid(part_H[i] + table_H[i] + context_H[i])
        forget_H, candidate_H, output_H = product_G[size:], product_G[2 * size :], product_G[3 * size :]
        for i in range(size):
            # 2 c' = f 2 c + 2 i (2 g - 1), and h' / 2 = o (2 sigmoid(2 c') - 1) / 2.
            cell = cell_H[i] * forget_H[i] + (_FOUR * product_G[i] * candidate_H[i] - _TWO * product_G[i])
            cell_H[i] = cell
            hidden_H[i] = output_H[i] * (sigmoid(cell) - _HALF)


def scale_rows(first, last, has_scales, projected_ME, context_ME, scale_M):
    """Add the context's share to some rows of the output projection, and divide each by its largest number.

    Args:
        first: first row.
        last: row behind the last.
        has_scales: whether the rows are divided, as integers need it; otherwise their scales are 1.
        projected_ME: product of the hidden state.
        context_ME: share of each row's context.
        scale_M: what each row was divided by.
    """
    for row in range(first, last):
        projected_E, context_E = projected_ME[row], context_ME[row]
        for i in range(len(projected_E)):
            projected_E[i] += context_E[i]
        scale = _LEAST_SCALE
        for i in range(len(projected_E)):
            scale = max(scale, abs(projected_E[i]))
        scale = scale if has_scales else np.float32(1)
        for i in range(len(projected_E)):
            projected_E[i] /= scale
        scale_M[row] = scale


def choose_tokens(first, last, per_slot, product_MW, scale_M, bias_W, sequences, tables, scratch, ended_S):
    """Draw and store the next tokens of some slots, and write their state after them.

    Args:
        first: first slot.
        last: slot behind the last.
        per_slot: rows of a slot: its own, and with guidance its unconditional branch.
        product_MW: product of the output projection.
        scale_M: what each row was divided by.
        bias_W: bias of the output, far below all others beyond the vocabulary.
        sequences: `arguments.Sequences`.
        tables: `arguments.Rules`.
        scratch: `arguments.Scratch`.
        ended_S: whether each sequence has ended.

    Returns:
        number of sequences that have ended.
    """
    count = 0
    for slot in range(first, last):
        row = slot * per_slot
        product_PW, scale_P = product_MW[row : row + per_slot], scale_M[row : row + per_slot]
        ended_S[slot] = rows.choose(slot, sequences, tables, product_PW, scale_P, bias_W, scratch)
        count += ended_S[slot]
    return count
