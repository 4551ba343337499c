"""Triton kernels of a step's matrix products, batch-invariant.

Every sum runs in the order of the inputs, by blocks of one fixed size, so the other rows of a batch and their number do
not change a row's result. All sizes are multiples of the blocks; the padding is zero.

Shapes: M rows, N outputs, K inputs, H hidden, G = 4 H gates, V tokens, S slots; a slot has `PER_SLOT` rows.
"""

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def any_live(ended_S, slots):
    """Return whether a block has a live row; products of ended rows would be discarded."""
    return tl.sum(tl.where(tl.load(ended_S + slots) == 0, 1, 0)) > 0


@triton.jit
def add_product(sums, inputs, weight, WIDEN: tl.constexpr):
    """Add products to sums in float32, in which products of bfloat16 numbers are exact, widened or not."""
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
    """Compute one LSTM step of a block of rows and hidden units: products, parts of token and context, gates, cell.

    The state is h / 2 and 2 c, as in `handlers.decoding.folded`.
    """
    rows = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    slots = rows // PER_SLOT
    if not any_live(ended_S, slots):
        return
    units = tl.program_id(1) * UNITS + tl.arange(0, UNITS)
    inputs = tl.arange(0, INPUTS)
    input_gate = tl.zeros((ROWS, UNITS), tl.float32)
    forget_gate = tl.zeros((ROWS, UNITS), tl.float32)
    candidate = tl.zeros((ROWS, UNITS), tl.float32)
    output_gate = tl.zeros((ROWS, UNITS), tl.float32)
    hidden_ptrs = hidden_MH + rows[:, None] * H + inputs[None, :]
    weight_ptrs = weight_GH + units[None, :] * H + inputs[:, None]
    for first in range(0, H, INPUTS):
        hidden = tl.load(hidden_ptrs + first)
        input_gate = add_product(input_gate, hidden, tl.load(weight_ptrs + first), WIDEN)
        forget_gate = add_product(forget_gate, hidden, tl.load(weight_ptrs + H * H + first), WIDEN)
        candidate = add_product(candidate, hidden, tl.load(weight_ptrs + 2 * H * H + first), WIDEN)
        output_gate = add_product(output_gate, hidden, tl.load(weight_ptrs + 3 * H * H + first), WIDEN)
    context_ptrs = context_MG + rows[:, None].to(tl.int64) * 4 * H + units[None, :]
    table_ptrs = table_VG + tl.load(token_S + slots)[:, None].to(tl.int64) * 4 * H + units[None, :]
    input_gate = tl.sigmoid(input_gate + tl.load(table_ptrs) + tl.load(context_ptrs))
    forget_gate = tl.sigmoid(forget_gate + tl.load(table_ptrs + H) + tl.load(context_ptrs + H))
    candidate = tl.sigmoid(candidate + tl.load(table_ptrs + 2 * H) + tl.load(context_ptrs + 2 * H))
    output_gate = tl.sigmoid(output_gate + tl.load(table_ptrs + 3 * H) + tl.load(context_ptrs + 3 * H))
    state_ptrs = rows[:, None] * H + units[None, :]
    cell = forget_gate * tl.load(cell_MH + state_ptrs) + 4 * input_gate * candidate - 2 * input_gate
    hidden = output_gate * tl.sigmoid(cell) - 0.5 * output_gate
    tl.store(cell_MH + state_ptrs, cell)
    tl.store(next_MH + state_ptrs, hidden.to(next_MH.dtype.element_ty))


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
    """Compute X W^T + b of a block of rows and outputs; with stride 0, all rows share one b."""
    rows = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    if not any_live(ended_S, rows // PER_SLOT):
        return
    outputs = tl.program_id(1) * OUTPUTS + tl.arange(0, OUTPUTS)
    inputs = tl.arange(0, INPUTS)
    product = tl.zeros((ROWS, OUTPUTS), tl.float32)
    input_ptrs = inputs_MK + rows[:, None] * K + inputs[None, :]
    weight_ptrs = weight_NK + outputs[None, :] * K + inputs[:, None]
    for first in range(0, K, INPUTS):
        product = add_product(product, tl.load(input_ptrs + first), tl.load(weight_ptrs + first), WIDEN)
    product += tl.load(added + rows[:, None] * added_stride + outputs[None, :])
    out_ptrs = out_MN + rows[:, None].to(tl.int64) * N + outputs[None, :]
    tl.store(out_ptrs, product.to(out_MN.dtype.element_ty))
