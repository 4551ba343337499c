"""Triton kernels of a step's products.

Every sum is made in the order of the inputs, by blocks of one fixed size, so a row's numbers are the same whatever
rows stand beside it and however many there are. All sizes are multiples of the blocks: what pads them is zero.

Shapes: M rows, N outputs, K inputs, H hidden, G = 4 H gates, V tokens, S slots; a slot holds `PER_SLOT` rows.
"""

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def any_live(ended_S, slots):
    """Whether some of a block's rows are still being written; products of others would be thrown away."""
    return tl.sum(tl.where(tl.load(ended_S + slots) == 0, 1, 0)) > 0


@triton.jit
def plus_product(sums, inputs, weight, WIDEN: tl.constexpr):
    """Sums of products, in float32. Products of bfloat16 numbers are exact in it, so widening changes none."""
    if WIDEN:
        inputs, weight = inputs.to(tl.float32), weight.to(tl.float32)
    return tl.dot(inputs, weight, sums, input_precision="ieee")


@triton.jit
def lstm_kernel(
    hidden_MH,
    next_MH,
    cell_MH,
    context_MG,
    table_VG,
    weight_GH,
    token_S,
    ended_S,
    H: tl.constexpr,
    PER_SLOT: tl.constexpr,
    ROWS: tl.constexpr,
    UNITS: tl.constexpr,
    INPUTS: tl.constexpr,
    WIDEN: tl.constexpr,
):
    """One LSTM step of a block of rows and hidden units: product, token's and context's shares, gates and cell.

    The state is h / 2 and 2 c, as in `handlers.decoding.folded`.
    """
    rows = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    slots = rows // PER_SLOT
    if not any_live(ended_S, slots):
        return
    units = tl.program_id(1) * UNITS + tl.arange(0, UNITS)
    inputs = tl.arange(0, INPUTS)
    opened = tl.zeros((ROWS, UNITS), tl.float32)
    kept = tl.zeros((ROWS, UNITS), tl.float32)
    candidate = tl.zeros((ROWS, UNITS), tl.float32)
    shown = tl.zeros((ROWS, UNITS), tl.float32)
    hidden_at = hidden_MH + rows[:, None] * H + inputs[None, :]
    weight_at = weight_GH + units[None, :] * H + inputs[:, None]
    for first in range(0, H, INPUTS):
        hidden = tl.load(hidden_at + first)
        opened = plus_product(opened, hidden, tl.load(weight_at + first), WIDEN)
        kept = plus_product(kept, hidden, tl.load(weight_at + H * H + first), WIDEN)
        candidate = plus_product(candidate, hidden, tl.load(weight_at + 2 * H * H + first), WIDEN)
        shown = plus_product(shown, hidden, tl.load(weight_at + 3 * H * H + first), WIDEN)
    context_at = context_MG + rows[:, None].to(tl.int64) * 4 * H + units[None, :]
    table_at = table_VG + tl.load(token_S + slots)[:, None].to(tl.int64) * 4 * H + units[None, :]
    opened = tl.sigmoid(opened + tl.load(table_at) + tl.load(context_at))
    kept = tl.sigmoid(kept + tl.load(table_at + H) + tl.load(context_at + H))
    candidate = tl.sigmoid(candidate + tl.load(table_at + 2 * H) + tl.load(context_at + 2 * H))
    shown = tl.sigmoid(shown + tl.load(table_at + 3 * H) + tl.load(context_at + 3 * H))
    state_at = rows[:, None] * H + units[None, :]
    cell = kept * tl.load(cell_MH + state_at) + 4 * opened * candidate - 2 * opened
    hidden = shown * tl.sigmoid(cell) - 0.5 * shown
    tl.store(cell_MH + state_at, cell)
    tl.store(next_MH + state_at, hidden.to(next_MH.dtype.element_ty))


@triton.jit
def linear_kernel(
    inputs_MK,
    weight_NK,
    added,
    out_MN,
    ended_S,
    added_stride,
    N: tl.constexpr,
    K: tl.constexpr,
    PER_SLOT: tl.constexpr,
    ROWS: tl.constexpr,
    OUTPUTS: tl.constexpr,
    INPUTS: tl.constexpr,
    WIDEN: tl.constexpr,
):
    """X W^T + b of a block of rows and outputs; b is one for all rows if its stride is 0."""
    rows = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    if not any_live(ended_S, rows // PER_SLOT):
        return
    outputs = tl.program_id(1) * OUTPUTS + tl.arange(0, OUTPUTS)
    inputs = tl.arange(0, INPUTS)
    product = tl.zeros((ROWS, OUTPUTS), tl.float32)
    inputs_at = inputs_MK + rows[:, None] * K + inputs[None, :]
    weight_at = weight_NK + outputs[None, :] * K + inputs[:, None]
    for first in range(0, K, INPUTS):
        product = plus_product(product, tl.load(inputs_at + first), tl.load(weight_at + first), WIDEN)
    product += tl.load(added + rows[:, None] * added_stride + outputs[None, :])
    out_at = out_MN + rows[:, None].to(tl.int64) * N + outputs[None, :]
    tl.store(out_at, product.to(out_MN.dtype.element_ty))
