"""Random numbers of `handlers.decoding.random_numbers` on a GPU: Philox 4x64-10 in Triton.

Salmon, Moraes, Dror and Shaw 2011, "Parallel random numbers: as easy as 1, 2, 3".

Shapes: R sequences, N numbers of each.
"""

from __future__ import annotations

import triton
import triton.language as tl

_FIRST_FACTOR: tl.constexpr = tl.constexpr(0xD2E7470EE14C6C93)
_SECOND_FACTOR: tl.constexpr = tl.constexpr(0xCA5A826395121157)
_FIRST_KEY_STEP: tl.constexpr = tl.constexpr(0x9E3779B97F4A7C15)
_SECOND_KEY_STEP: tl.constexpr = tl.constexpr(0xBB67AE8584CAA73B)


@triton.jit
def uniform(seed, index):
    """Return the number at an index of a seed's stream, in (0, 1): float64, the same as NumPy's Philox.

    The generator makes four numbers at a time; NumPy increments its counter before the first four.
    """
    zero = index.to(tl.uint64) * 0
    first, second, third, fourth = (index // 4 + 1).to(tl.uint64), zero, zero, zero
    first_key, second_key = seed.to(tl.uint64), zero
    for _ in tl.static_range(10):
        high, low = tl.umulhi(first, zero + _FIRST_FACTOR), first * _FIRST_FACTOR
        other_high, other_low = tl.umulhi(third, zero + _SECOND_FACTOR), third * _SECOND_FACTOR
        first, second = other_high ^ second ^ first_key, other_low
        third, fourth = high ^ fourth ^ second_key, low
        first_key += _FIRST_KEY_STEP
        second_key += _SECOND_KEY_STEP
    lane = index % 4
    raw = tl.where(lane == 0, first, tl.where(lane == 1, second, tl.where(lane == 2, third, fourth)))
    return ((raw >> 11).to(tl.float64) + 0.5) * 1.1102230246251565e-16


@triton.jit
def uniforms_kernel(seed_R, out_RN, N: tl.constexpr, BLOCK: tl.constexpr):
    """Store the first numbers of each sequence's stream."""
    sequence, indices = tl.program_id(0), tl.arange(0, BLOCK)
    tl.store(out_RN + sequence * N + indices, uniform(tl.load(seed_R + sequence), indices), mask=indices < N)
