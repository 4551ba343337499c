"""Arithmetic that numba lacks, as instructions of LLVM: fused multiply-add, powers of 2, sums in a fixed order.

Every sum adds its terms in one order, whatever the width of the processor's registers, so a row has the same bits with
AVX2 and with AVX-512. What is computed number by number has no order; LLVM vectorises those loops.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

BLOCK: Final = 64
"""Numbers that `sum_block` adds up: those of a block of tokens."""
_LANES: Final = 16
_FLOAT, _INT = ir.FloatType(), ir.IntType(32)
_VECTOR = ir.VectorType(_FLOAT, _LANES)
_EXPONENT_SHIFT: Final = 23
_ROUNDER = np.float32(1.5 * 2**23 + 127)
"""Number whose sum with another one is rounded to a whole number, kept in the lowest bits with the exponent's bias."""

# 2^f = sum c_i f^i on [-0.5, 0.5], with c_0 = 1 and the least largest relative error, 1.1e-7.
_C1, _C2, _C3, _C4, _C5 = (
    np.float32(each) for each in (0.6931470037, 0.2402224243, 0.0555073358, 0.0096715130, 0.0013264727)
)
_ONE = np.float32(1)
_LOWEST, _HIGHEST = np.float32(-127), np.float32(128)
"""Beyond these, 2^x is 0 and infinite."""
_MINUS_LOG2_E = np.float32(-1.4426950408889634)


helper = njit(no_cpython_wrapper=True, no_cfunc_wrapper=True)
"""Decorator of a function that only compiled code calls: the ways in for others take a fifth of its compilation."""

inlined = njit(inline="always")


@intrinsic
def fma(_context, a, b, c):
    """Return a b + c, rounded once."""

    def generate(_target, builder, _signature, arguments):
        return builder.fma(*arguments)

    return types.float32(types.float32, types.float32, types.float32), generate


@intrinsic
def _power_of_rounded(_context, rounded):
    """Return 2^n for n + `_ROUNDER`: for n = -127 it is 0, for n = 128 infinity."""

    def generate(_target, builder, _signature, arguments):
        # The lowest bits of the sum are n + 127, the exponent's.
        bits = builder.bitcast(arguments[0], _INT)
        return builder.bitcast(builder.shl(bits, _INT(_EXPONENT_SHIFT)), _FLOAT)

    return types.float32(types.float32), generate


@inlined
def exp2(x):
    """Return 2^x; NaN stays NaN."""
    # In this order of operands a comparison is one instruction, and keeps a NaN.
    x = _LOWEST if x < _LOWEST else x
    x = _HIGHEST if x > _HIGHEST else x
    rounded = x + _ROUNDER
    rest = x - (rounded - _ROUNDER)
    power = fma(_C5, rest, _C4)
    power = fma(power, rest, _C3)
    power = fma(power, rest, _C2)
    power = fma(power, rest, _C1)
    return fma(power, rest, _ONE) * _power_of_rounded(rounded)


@inlined
def sigmoid(x):
    """Return 1 / (1 + e^-x)."""
    return _ONE / (_ONE + exp2(x * _MINUS_LOG2_E))


def _block(target, builder, kind, array, start):
    """Load the numbers of a block as four vectors."""
    data = target.make_array(kind)(target, builder, array).data
    places = (builder.gep(data, [builder.add(start, start.type(_LANES * part))]) for part in range(4))
    return [builder.load(builder.bitcast(place, _VECTOR.as_pointer()), align=4) for place in places]


def _folded(builder, parts, combine):
    """Combine four vectors to a number: first the vectors, then their halves."""
    total = combine(combine(parts[0], parts[1]), combine(parts[2], parts[3]))
    width = _LANES
    while width > 1:
        width //= 2
        total = combine(_lanes(builder, total, range(width)), _lanes(builder, total, range(width, 2 * width)))
    return builder.extract_element(total, _INT(0))


def _lanes(builder, vector, places):
    """Return some places of a vector."""
    chosen = ir.Constant(ir.VectorType(_INT, len(places)), [*places])
    return builder.shuffle_vector(vector, ir.Constant(vector.type, ir.Undefined), chosen)


def _everywhere(builder, number):
    """Return a vector of one number."""
    first = builder.insert_element(ir.Constant(_VECTOR, ir.Undefined), number, _INT(0))
    return _lanes(builder, first, [0] * _LANES)


@intrinsic
def sum_block(_context, array, start):
    """Return the sum of a block of an array from a place on."""

    def generate(target, builder, signature, arguments):
        return _folded(builder, _block(target, builder, signature.args[0], *arguments), builder.fadd)

    return types.float32(array, types.intp), generate


@intrinsic
def sum_block_above(_context, array, start, height):
    """Return the sum of those numbers of a block that are above a number."""

    def generate(target, builder, signature, arguments):
        height, zero = _everywhere(builder, arguments[2]), ir.Constant(_VECTOR, [0.0] * _LANES)
        parts = _block(target, builder, signature.args[0], *arguments[:2])
        kept = [builder.select(builder.fcmp_ordered(">", part, height), part, zero) for part in parts]
        return _folded(builder, kept, builder.fadd)

    return types.float32(array, types.intp, types.float32), generate


@intrinsic
def largest_in_block(_context, array, start):
    """Return the largest number of a block."""

    def generate(target, builder, signature, arguments):
        def larger(a, b):
            return builder.select(builder.fcmp_ordered(">", a, b), a, b)

        return _folded(builder, _block(target, builder, signature.args[0], *arguments), larger)

    return types.float32(array, types.intp), generate


@intrinsic
def count_in_block(_context, array, start, least):
    """Return how many numbers of a block are at least a number."""

    def generate(target, builder, signature, arguments):
        least, mask = _everywhere(builder, arguments[2]), ir.IntType(_LANES)
        parts = _block(target, builder, signature.args[0], *arguments[:2])
        bits = [builder.bitcast(builder.fcmp_ordered(">=", part, least), mask) for part in parts]
        counts = [builder.zext(builder.ctpop(each), arguments[1].type) for each in bits]
        return builder.add(builder.add(counts[0], counts[1]), builder.add(counts[2], counts[3]))

    return types.intp(array, types.intp, types.float32), generate


@intrinsic
def bits_of(_context, number):
    """Return the bits of a number; those of positive numbers are in the order of the numbers."""

    def generate(_target, builder, _signature, arguments):
        return builder.bitcast(arguments[0], _INT)

    return types.int32(types.float32), generate


@intrinsic
def from_bits(_context, bits):
    """Return the number that has some bits."""

    def generate(_target, builder, _signature, arguments):
        return builder.bitcast(arguments[0], _FLOAT)

    return types.float32(types.int32), generate
