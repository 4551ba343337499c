"""Kernels that show what functions inside the project's kernels give."""

import triton
import triton.language as tl

from handlers.decoding.gpu.kernels.choice import draw, has_ended, invert_sorted, keep_top_k
from handlers.decoding.gpu.kernels.random_numbers import uniform


@triton.jit
def places_kernel(seed_R, place_RN, out_RN, N: tl.constexpr):
    row = tl.program_id(0)
    for column in range(N):
        at = row * N + column
        tl.store(out_RN + at, uniform(tl.load(seed_R + row), tl.load(place_RN + at)))


@triton.jit
def order_kernel(weight_RV, aim_R, token_R, sum_R, V: tl.constexpr):
    row = tl.program_id(0)
    ids_V = tl.arange(0, V)
    token, total = invert_sorted(tl.load(weight_RV + row * V + ids_V), ids_V, tl.load(aim_R + row), V)
    tl.store(token_R + row, token)
    tl.store(sum_R + row, total)


@triton.jit
def likeliest_kernel(weight_RV, number_R, out_RV, V: tl.constexpr):
    row = tl.program_id(0)
    ids_V = tl.arange(0, V)
    kept_V = keep_top_k(tl.load(weight_RV + row * V + ids_V), tl.load(number_R + row))
    tl.store(out_RV + row * V + ids_V, kept_V)


@triton.jit
def draw_kernel(weight_RV, settings_R4, top_k_R, seed_R, place_R, token_R, V: tl.constexpr):
    row = tl.program_id(0)
    ids_V = tl.arange(0, V)
    weight_V, top_k = tl.load(weight_RV + row * V + ids_V), tl.load(top_k_R + row)
    seed, place = tl.load(seed_R + row), tl.load(place_R + row)
    tl.store(token_R + row, draw(weight_V, ids_V, settings_R4 + row * 4, top_k, seed, place, V))


@triton.jit
def end_kernel(token_R, length_R, max_tokens_R, ended_R):
    row = tl.program_id(0)
    ended = has_ended(tl.load(token_R + row), tl.load(length_R + row), tl.load(max_tokens_R + row))
    tl.store(ended_R + row, ended.to(tl.int32))
