"""The draw from what the filters keep, likely tokens first, where little is kept.

Weights are put in order without their ids, which takes NumPy a fraction of the time that both would take, and equals
at a window's edge need no care then. The id of the one weight that is drawn is looked up.

Shapes: R rows, W tokens, K of a window, the likeliest of them.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from handlers.decoding.arrays import BoolArray, FloatArray, IntArray
from handlers.decoding.sampling.filters import SamplingSettings

_Weights = NDArray[np.float32]

_FIRST: Final = 256
"""Tokens of the first window."""
_WIDER: Final = 4
"""Times the tokens of the window before."""


def draw_sorted(
    weight_RW: _Weights, total_R: FloatArray, uniforms_R: FloatArray, settings: SamplingSettings
) -> IntArray:
    """The token at which each row's filtered distribution function, likely tokens first, reaches its number.

    Equal weights are in the order of their ids. A window of the likeliest is looked at, and a wider one while it may
    cut off something that the filters keep. Sums run along the order, so they are the same in each window that holds
    what they are of: windows decide the time that a row takes and not its token.

    Args:
        weight_RW: not negative; a row of zeros has some token.
        total_R: sums of the weights.
        uniforms_R: in (0, 1).
        settings: the rows'; temperature is not looked at.
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
    """The largest weights in falling order, [R, K]; what is given is moved about within its rows."""
    beyond = max(moved_RW.shape[1] - count, 0)
    if beyond:
        moved_RW.partition(beyond, axis=1)
    top_RK = moved_RW[:, beyond:]
    top_RK.sort(axis=1)
    return top_RK[:, ::-1]


def _kept(
    sorted_RK: _Weights, cumulative_RK: FloatArray, total_R: FloatArray, settings: SamplingSettings
) -> tuple[IntArray, BoolArray]:
    """How many tokens the filters keep of each window, one at least, and whether they would keep no others."""
    top_k_R = np.where(settings.top_k > 0, settings.top_k, np.inf)
    floor_R1 = settings.min_p.astype(np.float32)[:, None] * sorted_RK[:, :1]
    first_R = np.minimum(top_k_R, np.count_nonzero(sorted_RK >= floor_R1, axis=1)).astype(np.int64)
    # The nucleus is a share of what top-k and min-p leave: where they act, they have to end within the window.
    is_cut_R = (settings.top_k > 0) | (settings.min_p > 0)
    left_R = np.where(is_cut_R, cumulative_RK[np.arange(len(first_R)), first_R - 1], total_R)
    # A token stays while those before it have not reached top_p: the first one always does.
    reach_R = np.where(settings.top_p < 1, settings.top_p * left_R, np.inf)
    kept_R = np.minimum(first_R, 1 + np.count_nonzero(cumulative_RK < reach_R[:, None], axis=1))
    is_all_R: BoolArray = np.where(is_cut_R, first_R, kept_R) < sorted_RK.shape[1]
    return kept_R, is_all_R


def _ids(weight_RW: _Weights, sorted_RK: _Weights, place_R: IntArray) -> IntArray:
    """The ids of the weights at some places of the order."""
    value_R1 = sorted_RK[np.arange(len(place_R)), place_R][:, None]
    equal_RW = weight_RW == value_R1
    id_R: IntArray = equal_RW.argmax(axis=1)
    # Mostly there is no equal before it.
    rank_R = place_R - np.count_nonzero(sorted_RK > value_R1, axis=1)
    for row in rank_R.nonzero()[0].tolist():
        id_R[row] = equal_RW[row].nonzero()[0][rank_R[row]]
    return id_R
