"""The choice of tokens, row by row.

What is as long as the vocabulary is torch's, on its device; what is as long as the rows is NumPy's, whose calls cost
half.

Shapes: B rows, W tokens padded to whole blocks, N blocks, X = N + 1 edges, K tokens of a block, D draws, F forbidden
tokens, R some of the rows, P further draws of such.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from handlers.decoding.arrays import BoolArray, FloatArray, IntArray
from handlers.decoding.sampling.filters import SamplingSettings
from handlers.decoding.sampling.sorted_draw import draw_sorted

__all__ = ["BLOCK", "DRAWS", "SamplingSettings", "TokenWeights", "pick"]

BLOCK: Final = 64
"""Tokens that are summed up first when a distribution function is inverted."""
DRAWS: Final = 4
"""Random numbers that a step of a row may need: three draws from the whole distribution, one from the sorted one."""
_MORE: Final = DRAWS - 2
"""Of these the ones from the whole distribution after the first."""
MIN_SUM: Final = 1e-20
MAX_SUM: Final = 1e30
"""Sums of weights beyond these bounds may have lost some to underflow or overflow."""
_FEW: Final = 2
"""Rows that are drawn one by one: for so few, a loop is faster than arrays."""


class TokenWeights:
    """Each row's tokens with weights to draw by, made anew at every step in the same memory.

    Args:
        settings: of the rows, as long as they are the same.
        memory_2BW: written over; what `TokenWeights.memory` gives, or its first rows.
    """

    def __init__(self, settings: SamplingSettings, memory_2BW: Tensor) -> None:
        count = len(settings.temperature)
        self._settings = settings
        self._weight_BW, self._scratch_BW = memory_2BW[:, :count]
        self._scale_B1 = torch.from_numpy(settings.scale()).to(memory_2BW).unsqueeze(1)
        self._weight_BNK = self._weight_BW.view(count, -1, BLOCK)
        self._place_B = np.arange(count)
        self._edges_BX = np.zeros((count, self._weight_BNK.shape[1] + 1))

    @staticmethod
    def memory(most: int, num_tokens: int, device: torch.device) -> Tensor:
        """Memory for as many rows.

        Raises:
            ValueError: the number of tokens is no multiple of `BLOCK`.
        """
        if num_tokens % BLOCK:
            raise ValueError(f"the number of tokens must be a multiple of {BLOCK}, got {num_tokens}")
        return torch.empty(2, most, num_tokens, device=device)

    def normalisers(self, log2_BW: Tensor) -> FloatArray:
        """Base-2 logarithm of each row's sum of odds, [B]; rows whose sum no float holds are moved, in place."""
        total_B = _host(torch.exp2(log2_BW, out=self._scratch_BW).sum(dim=1))
        if off := _off(total_B):
            off_R = torch.tensor(off, device=log2_BW.device)
            moved_RW = log2_BW[off_R]
            moved_RW -= moved_RW.amax(dim=1, keepdim=True)
            log2_BW[off_R] = moved_RW
            total_B[off] = _host(torch.exp2(moved_RW).sum(dim=1))
        normaliser_B: FloatArray = np.log2(total_B.astype(np.float64))
        return normaliser_B

    def choose(
        self, log2_BW: Tensor, forbidden_BF: IntArray, uniforms_BD: FloatArray, *, fallback: int = 0
    ) -> IntArray:
        """Draw one token per row from the filtered distribution.

        Filters act in this order, each on what the one before it left: temperature, top-k, min-p, top-p.

        A token is drawn from the whole distribution and kept if the filters let it pass; if not, the row's next number
        draws again. That is the filtered distribution exactly, without putting the vocabulary in order, which would
        cost half of the rest of a step. Rows whose filters let little pass are drawn by `handlers.decoding.sampling.sorted_draw`.

        Args:
            log2_BW: logarithms of the odds to base 2, since the power of 2 takes half the time of e's.
            forbidden_BF: tokens that may not be drawn.
            uniforms_BD: `DRAWS` numbers in (0, 1) per row, of which the last is for the sorted distribution.
            fallback: the token of a row all of whose tokens are forbidden.
        """
        self._weigh(log2_BW, torch.from_numpy(forbidden_BF).to(log2_BW.device))
        total_B = self._edges_BX[:, -1]
        # Each row goes its way by its own settings and numbers: what it draws must not depend on its neighbours.
        again_B, chosen_B = self._settings.is_sorted, np.zeros(len(total_B), dtype=np.int64)
        if not again_B.all():
            chosen_B = self._invert(self._place_B, uniforms_BD[:, 0])
            again_B = again_B | _is_dropped(self._weight_BW, chosen_B, total_B, self._settings, self._scratch_BW)
        if again_B.any():
            again_R = again_B.nonzero()[0]
            chosen_B[again_R] = self._draw_again(again_R, uniforms_BD[again_R])
        if not total_B.all():
            chosen_B[total_B == 0] = fallback
        return chosen_B

    def _weigh(self, log2_BW: Tensor, forbidden_BF: Tensor) -> None:
        """Each token's probability, up to a factor per row, 0 where it is forbidden; and their sums."""
        torch.mul(log2_BW, self._scale_B1, out=self._weight_BW).exp2_()
        self._weight_BW.scatter_(1, forbidden_BF, 0.0)
        self._sum_up(slice(None), self._weight_BNK)
        if not (off := _off(self._edges_BX[:, -1])):
            return
        # Of a cold row, or one whose likely tokens are forbidden: it is measured by its own best. For all rows that
        # would only be more passes over all numbers.
        off_R = torch.tensor(off, device=log2_BW.device)
        log2_RW = log2_BW[off_R].scatter_(1, forbidden_BF[off_R], -torch.inf)
        log2_RW -= log2_RW.amax(dim=1, keepdim=True).clamp_min_(torch.finfo().min)
        weight_RW = log2_RW.mul_(self._scale_B1[off_R]).exp2_()
        self._weight_BW[off_R] = weight_RW
        self._sum_up(off, weight_RW.view(len(off), -1, BLOCK))

    def _sum_up(self, rows: list[int] | slice, weight_RNK: Tensor) -> None:
        """The distribution function after each block of tokens, in the order of ids; 0 before the first."""
        self._edges_BX[rows, 1:] = _host(weight_RNK.sum(dim=2)).cumsum(axis=1, dtype=np.float64)

    def _invert(self, rows_R: IntArray, uniforms_R: FloatArray) -> IntArray:
        """The tokens at which some rows' distribution functions, in the order of ids, reach a number.

        In two steps, blocks and then the tokens of one block, so that nothing as long as the vocabulary is summed up
        one by one in double precision.
        """
        if len(rows_R) <= _FEW:
            return np.array(
                [self._invert_one(*each) for each in zip(rows_R.tolist(), uniforms_R.tolist(), strict=True)]
            )
        edges_RX = self._edges_BX.take(rows_R, axis=0)
        height_R = uniforms_R * edges_RX[:, -1]
        block_R = (edges_RX[:, 1:] >= height_R[:, None]).argmax(axis=1)
        within_RK = _at(self._weight_BNK, rows_R, block_R).cumsum(axis=1, dtype=np.float64)
        # Rounding may leave the height above the block's end; the last token with any probability has it then.
        rest_R = np.minimum(height_R - edges_RX[np.arange(len(rows_R)), block_R], within_RK[:, -1])
        token_R: IntArray = block_R * BLOCK + (within_RK >= rest_R[:, None]).argmax(axis=1)
        return token_R

    def _invert_one(self, row: int, uniform: float) -> int:
        """The same for one row, in a third of the calls."""
        edges_X = self._edges_BX[row]
        height = uniform * edges_X.item(-1)
        block = int(edges_X[1:].searchsorted(height))
        within_K = _at(self._weight_BNK, row, block).cumsum(dtype=np.float64)
        rest = min(height - edges_X.item(block), within_K.item(-1))
        return block * BLOCK + int(within_K.searchsorted(rest))

    def _draw_again(self, again_R: IntArray, uniforms_RD: FloatArray) -> IntArray:
        """Tokens of rows whose first draw was dropped, or that are sorted from the start."""
        chosen_R = np.zeros(len(again_R), dtype=np.int64)
        sorted_R = self._settings.is_sorted[again_R]
        if len(left := (~sorted_R).nonzero()[0]):
            # All draws at once: a round more for the few rows that need it would cost as much as the first.
            rows_P = again_R[left].repeat(_MORE)
            drawn_P = self._invert(rows_P, uniforms_RD[left, 1:-1].ravel())
            weight_PW, settings_P = self._weights_of(rows_P), self._settings[rows_P]
            dropped_P = _is_dropped(weight_PW, drawn_P, self._edges_BX[rows_P, -1], settings_P, weight_PW)
            first_R = np.arange(0, len(rows_P), _MORE) + dropped_P.reshape(-1, _MORE).argmin(axis=1)
            chosen_R[left], sorted_R[left] = drawn_P[first_R], dropped_P[first_R]
        if sorted_R.any():
            rows_R = again_R[sorted_R]
            uniforms_R, settings_R = uniforms_RD[sorted_R, -1], self._settings[rows_R]
            total_R = self._edges_BX[rows_R, -1]
            chosen_R[sorted_R] = draw_sorted(_host(self._weights_of(rows_R)), total_R, uniforms_R, settings_R)
        return chosen_R

    def _weights_of(self, rows_R: IntArray) -> Tensor:
        """A copy of some rows' weights, in a fourth of the time that indexing takes."""
        return torch.index_select(self._weight_BW, 0, torch.from_numpy(rows_R).to(self._weight_BW.device))


def pick(numbers_BW: Tensor, token_B: IntArray) -> NDArray[np.float32]:
    """Each row's number for one token, [B]."""
    return _at(numbers_BW, np.arange(len(token_B)), token_B)


def _at(numbers: Tensor, first_R: IntArray | int, second_R: IntArray | int) -> NDArray[np.float32]:
    """What stands at some places along the first two dimensions."""
    if numbers.device.type == "cpu":
        found_R: NDArray[np.float32] = numbers.numpy()[first_R, second_R]
        return found_R
    return _host(numbers[torch.as_tensor(first_R), torch.as_tensor(second_R)])


def _host(numbers: Tensor) -> NDArray[np.float32]:
    """As an array of NumPy's."""
    array: NDArray[np.float32] = numbers.cpu().numpy()
    return array


def _off(total_B: NDArray[np.floating]) -> list[int]:
    """Rows whose sums of weights may have lost some to underflow or overflow."""
    return [row for row, total in enumerate(total_B.tolist()) if not MIN_SUM < total < MAX_SUM]


def _is_dropped(
    weight_BW: Tensor,
    drawn_B: IntArray,
    total_B: FloatArray,
    settings: SamplingSettings,
    scratch_BW: Tensor,
) -> BoolArray:
    """Whether min-p or top-p drop a token that was drawn, [B]; top-k is not looked at.

    The scratch may be the weights themselves.
    """
    dropped_B = np.zeros(len(drawn_B), dtype=bool)
    if not (settings.has_min_p or settings.has_top_p):
        return dropped_B
    height_B = pick(weight_BW, drawn_B)
    if settings.has_min_p:
        floor_B = settings.min_p.astype(np.float32) * _host(weight_BW.amax(dim=1))
        dropped_B |= height_B < floor_B
        floor_B1 = torch.from_numpy(floor_B).to(weight_BW.device).unsqueeze(1)
        kept_B = _host(torch.where(weight_BW >= floor_B1, weight_BW, 0.0).sum(dim=1))
        total_B = np.where(settings.min_p > 0, kept_B, total_B)
    if settings.has_top_p:
        # A token stays while those above it have not reached top_p. Those are all others at most: most draws need no
        # look at them.
        doubtful_B = (settings.top_p < 1) & (height_B <= (1 - settings.top_p) * total_B)
        if doubtful_B.any():
            above_B = _sum_above(weight_BW, height_B, scratch_BW) * height_B
            dropped_B |= doubtful_B & (above_B >= settings.top_p * total_B)
    return dropped_B


def _sum_above(weight_BW: Tensor, height_B: NDArray[np.float32], scratch_BW: Tensor) -> NDArray[np.float32]:
    """Sum of the weights above one of them, in units of that one, [B].

    Divided by its own weight a token is exactly 1, and what is not above it goes in one pass, several times faster than
    with `where`.
    """
    height_B1 = torch.from_numpy(height_B).to(weight_BW.device).unsqueeze(1)
    ratio_BW = torch.div(weight_BW, height_B1, out=scratch_BW)
    return _host(torch.threshold_(ratio_BW, 1.0, 0.0).sum(dim=1))
