"""Draw in sorted order, likely tokens first, where the filters keep few tokens.

Weights are sorted without their ids, which takes NumPy a fraction of the time of both, and makes equal weights at a
window's edge harmless. The id of the one weight that is drawn is looked up.

Shapes: R sequences, W tokens, K of a window, the likeliest of them.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from handlers.decoding.arrays import BoolArray, FloatArray, IntArray
from handlers.decoding.sampling.filters import SamplingSettings

_Weights = NDArray[np.float32]

_FIRST: Final = 256
"""Number of tokens in the first window."""
_WIDER: Final = 4
"""Factor from one window to the next."""


def draw_sorted(
    weight_RW: _Weights, total_R: FloatArray, uniforms_R: FloatArray, settings: SamplingSettings
) -> IntArray:
    """Return the token at which each filtered distribution function, likely tokens first, reaches its number.

    Equal weights are in the order of their ids. The search begins with a window of the likeliest tokens and widens it
    while it may cut off a token that the filters keep. Sums run along the order, so they are the same in each window
    that contains their tokens: the windows affect the time, not the token.

    Args:
        weight_RW: weights, not negative; a row of zeros gives any token.
        total_R: sums of the weights.
        uniforms_R: numbers in (0, 1).
        settings: settings of the sequences; temperature is ignored.
    """
    token_R = np.empty(len(weight_RW), dtype=np.int64)
    left_R, left_RW, count = np.arange(len(weight_RW)), weight_RW, _FIRST
    while len(left_R):
        sorted_RK = _likeliest(left_RW.copy(), count)
        cumulative_RK = sorted_RK.cumsum(axis=1, dtype=np.float64)
        kept_R, is_all_R = _kept(sorted_RK, cumulative_RK, total_R[left_R], settings[left_R])
        height_R = uniforms_R[left_R] * cumulative_RK[np.arange(len(kept_R)), kept_R - 1]
        place_R = (cumulative_RK >= height_R[:, None]).argmax(axis=1)
        token_R[left_R] = _ids(left_RW, sorted_RK, place_R)
        wider_R = ~is_all_R & (count < weight_RW.shape[1])
        left_R, left_RW, count = left_R[wider_R], left_RW[wider_R], count * _WIDER
    return token_R


def _likeliest(moved_RW: _Weights, count: int) -> _Weights:
    """Return the largest weights in falling order, [R, K]; the argument is reordered within its rows."""
    beyond = max(moved_RW.shape[1] - count, 0)
    if beyond:
        moved_RW.partition(beyond, axis=1)
    top_RK = moved_RW[:, beyond:]
    top_RK.sort(axis=1)
    return top_RK[:, ::-1]


def _kept(
    sorted_RK: _Weights, cumulative_RK: FloatArray, total_R: FloatArray, settings: SamplingSettings
) -> tuple[IntArray, BoolArray]:
    """Return the number of tokens that the filters keep of each window, at least 1, and whether it is final."""
    top_k_R = np.where(settings.top_k > 0, settings.top_k, np.inf)
    floor_R1 = settings.min_p.astype(np.float32)[:, None] * sorted_RK[:, :1]
    first_R = np.minimum(top_k_R, np.count_nonzero(sorted_RK >= floor_R1, axis=1)).astype(np.int64)
    # The nucleus is a share of what top-k and min-p leave: where they act, their cut must lie within the window.
    is_cut_R = (settings.top_k > 0) | (settings.min_p > 0)
    left_R = np.where(is_cut_R, cumulative_RK[np.arange(len(first_R)), first_R - 1], total_R)
    # A token stays while those before it have not reached top_p: the first one always does.
    reach_R = np.where(settings.top_p < 1, settings.top_p * left_R, np.inf)
    kept_R = np.minimum(first_R, 1 + np.count_nonzero(cumulative_RK < reach_R[:, None], axis=1))
    is_all_R: BoolArray = np.where(is_cut_R, first_R, kept_R) < sorted_RK.shape[1]
    return kept_R, is_all_R


def _ids(weight_RW: _Weights, sorted_RK: _Weights, place_R: IntArray) -> IntArray:
    """Return the ids of the weights at some places of the order."""
    value_R1 = sorted_RK[np.arange(len(place_R)), place_R][:, None]
    equal_RW = weight_RW == value_R1
    id_R: IntArray = equal_RW.argmax(axis=1)
    # Rarely, an equal weight precedes it.
    rank_R = place_R - np.count_nonzero(sorted_RK > value_R1, axis=1)
    for row in rank_R.nonzero()[0].tolist():
        id_R[row] = equal_RW[row].nonzero()[0][rank_R[row]]
    return id_R
