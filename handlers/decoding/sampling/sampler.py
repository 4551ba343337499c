"""Choice of the next tokens, for each sequence by itself.

Tensors along the vocabulary are torch's, on its device; arrays along the sequences are NumPy's, whose calls cost half
as much.

Shapes: B sequences, W tokens padded to whole blocks, N blocks, X = N + 1 edges, K tokens of a block, D draws, F
forbidden tokens, R some of the sequences, P further draws of these.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from handlers.decoding.arrays import BoolArray, FloatArray, IntArray
from handlers.decoding.constraints.lexicon_words import Permitted
from handlers.decoding.folded import BLOCK
from handlers.decoding.sampling.filters import SamplingSettings
from handlers.decoding.sampling.sorted_draw import draw_sorted
from handlers.model.vocabulary import PAD_ID

__all__ = ["DRAWS", "SamplingSettings", "TokenWeights", "pick"]

DRAWS: Final = 4
"""Random numbers for one step of a sequence: three draws from the whole distribution, one from the sorted one."""
_REDRAWS: Final = DRAWS - 2
"""Draws from the whole distribution after the first."""
MIN_SUM: Final = 1e-20
MAX_SUM: Final = 1e30
"""Bounds beyond which a sum of weights may be inexact by underflow or overflow."""
_MAX_LOOPED: Final = 2
"""Maximum number of sequences that are drawn in a loop, which is faster than arrays for so few."""


class TokenWeights:
    """Unnormalised probabilities of each sequence's next token. Every step writes them into the same memory.

    Args:
        settings: settings of the sequences, which stay the same.
        memory_2BW: memory that is overwritten: that of `TokenWeights.memory`, or its first rows.
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
    def memory(max_slots: int, num_tokens: int, device: torch.device) -> Tensor:
        """Return memory for a number of sequences.

        Raises:
            ValueError: the number of tokens is not a multiple of `BLOCK`.
        """
        if num_tokens % BLOCK:
            raise ValueError(f"the number of tokens must be a multiple of {BLOCK}, got {num_tokens}")
        return torch.empty(2, max_slots, num_tokens, device=device)

    def normalisers(self, log2_BW: Tensor) -> FloatArray:
        """Return the base-2 logarithm of each sequence's sum of odds, [B].

        Logarithms whose sum of odds a float cannot hold are shifted, in place.
        """
        total_B = _host(torch.exp2(log2_BW, out=self._scratch_BW).sum(dim=1))
        if inexact := _inexact(total_B):
            inexact_R = torch.tensor(inexact, device=log2_BW.device)
            moved_RW = log2_BW[inexact_R]
            moved_RW -= moved_RW.amax(dim=1, keepdim=True)
            log2_BW[inexact_R] = moved_RW
            total_B[inexact] = _host(torch.exp2(moved_RW).sum(dim=1))
        normaliser_B: FloatArray = np.log2(total_B.astype(np.float64))
        return normaliser_B

    def choose(
        self,
        log2_BW: Tensor,
        forbidden_BF: IntArray,
        uniforms_BD: FloatArray,
        *,
        fallback: int = 0,
        permitted: Permitted | None = None,
        bad_words_BF: IntArray | None = None,
    ) -> IntArray:
        """Draw one token per sequence from the filtered distribution.

        Filters act in this order, each on what the one before it left: temperature, top-k, min-p, top-p.

        A token is drawn from the whole distribution and kept if the filters let it pass; if not, the sequence's next
        number draws again. That is exactly the filtered distribution, without sorting the vocabulary, which would cost
        half of the rest of a step. `handlers.decoding.sampling.sorted_draw` draws where the filters let little pass.

        Args:
            log2_BW: base-2 logarithms of the odds; powers of 2 take half the time of powers of e.
            forbidden_BF: tokens that may not be drawn.
            uniforms_BD: `DRAWS` numbers in (0, 1) per sequence, of which the last is for the sorted distribution.
            fallback: token of a sequence all of whose tokens are forbidden.
            permitted: tokens that the lexicon permits; None permits all.
            bad_words_BF: forbidden tokens that stay forbidden within a word of the lexicon all of whose continuations
                are forbidden, the padding token among them; by default that token alone.
        """
        self._weigh(log2_BW, torch.from_numpy(forbidden_BF).to(log2_BW.device), permitted)
        total_B = self._edges_BX[:, -1]
        if permitted is not None and (stuck := ((total_B == 0) & permitted.inside_B).nonzero()[0].tolist()):
            kept_BF = np.full((len(total_B), 1), PAD_ID) if bad_words_BF is None else bad_words_BF
            self._weigh_shifted(log2_BW, stuck, torch.from_numpy(kept_BF[stuck]).to(log2_BW.device), permitted)
        # Each branch depends on a sequence's own settings and numbers: its draw must not depend on its neighbours.
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

    def _weigh(self, log2_BW: Tensor, forbidden_BF: Tensor, permitted: Permitted | None) -> None:
        """Write each token's probability, up to a factor per sequence, 0 where it is forbidden; and the sums."""
        torch.mul(log2_BW, self._scale_B1, out=self._weight_BW).exp2_()
        if permitted is not None:
            permitted.restrict(self._weight_BW, self._scratch_BW)
        self._weight_BW.scatter_(1, forbidden_BF, 0.0)
        self._sum_up(slice(None), self._weight_BNK)
        if inexact := _inexact(self._edges_BX[:, -1]):
            # A low temperature, or likely tokens that are forbidden. For all sequences, it would cost more passes over
            # all numbers.
            self._weigh_shifted(log2_BW, inexact, forbidden_BF[torch.tensor(inexact)], permitted)

    def _weigh_shifted(
        self, log2_BW: Tensor, rows: list[int], forbidden_RF: Tensor, permitted: Permitted | None
    ) -> None:
        """Write the weights and sums of some sequences, divided by the largest weight."""
        rows_R = torch.tensor(rows, device=log2_BW.device)
        log2_RW = log2_BW[rows_R]
        if permitted is not None:
            permitted.restrict_log2(log2_RW, rows)
        log2_RW.scatter_(1, forbidden_RF, -torch.inf)
        log2_RW -= log2_RW.amax(dim=1, keepdim=True).clamp_min_(torch.finfo().min)
        weight_RW = log2_RW.mul_(self._scale_B1[rows_R]).exp2_()
        self._weight_BW[rows_R] = weight_RW
        self._sum_up(rows, weight_RW.view(len(rows), -1, BLOCK))

    def _sum_up(self, rows: list[int] | slice, weight_RNK: Tensor) -> None:
        """Write the distribution function after each block of tokens, in the order of ids; 0 before the first."""
        self._edges_BX[rows, 1:] = _host(weight_RNK.sum(dim=2)).cumsum(axis=1, dtype=np.float64)

    def _invert(self, rows_R: IntArray, uniforms_R: FloatArray) -> IntArray:
        """Return the tokens at which some sequences' distribution functions, in the order of ids, reach a number.

        The search has two steps, blocks and then the tokens of one block, so that no sum in double precision runs along
        the whole vocabulary.
        """
        if len(rows_R) <= _MAX_LOOPED:
            return np.array(
                [self._invert_one(*each) for each in zip(rows_R.tolist(), uniforms_R.tolist(), strict=True)]
            )
        edges_RX = self._edges_BX.take(rows_R, axis=0)
        height_R = uniforms_R * edges_RX[:, -1]
        block_R = (edges_RX[:, 1:] >= height_R[:, None]).argmax(axis=1)
        within_RK = _at(self._weight_BNK, rows_R, block_R).cumsum(axis=1, dtype=np.float64)
        # Rounding may leave the height above the block's end; then the last token with any probability is drawn.
        rest_R = np.minimum(height_R - edges_RX[np.arange(len(rows_R)), block_R], within_RK[:, -1])
        token_R: IntArray = block_R * BLOCK + (within_RK >= rest_R[:, None]).argmax(axis=1)
        return token_R

    def _invert_one(self, row: int, uniform: float) -> int:
        """Return the token of one sequence, with a third of the calls of `_invert`."""
        edges_X = self._edges_BX[row]
        height = uniform * edges_X.item(-1)
        block = int(edges_X[1:].searchsorted(height))
        within_K = _at(self._weight_BNK, row, block).cumsum(dtype=np.float64)
        rest = min(height - edges_X.item(block), within_K.item(-1))
        return block * BLOCK + int(within_K.searchsorted(rest))

    def _draw_again(self, again_R: IntArray, uniforms_RD: FloatArray) -> IntArray:
        """Return the tokens of sequences whose first draw was dropped, or that are sorted from the start."""
        chosen_R = np.zeros(len(again_R), dtype=np.int64)
        sorted_R = self._settings.is_sorted[again_R]
        if len(left := (~sorted_R).nonzero()[0]):
            # All draws at once: a second round for the few sequences that need it would cost as much as the first.
            rows_P = again_R[left].repeat(_REDRAWS)
            drawn_P = self._invert(rows_P, uniforms_RD[left, 1:-1].ravel())
            weight_PW, settings_P = self._weights_of(rows_P), self._settings[rows_P]
            dropped_P = _is_dropped(weight_PW, drawn_P, self._edges_BX[rows_P, -1], settings_P, weight_PW)
            first_R = np.arange(0, len(rows_P), _REDRAWS) + dropped_P.reshape(-1, _REDRAWS).argmin(axis=1)
            chosen_R[left], sorted_R[left] = drawn_P[first_R], dropped_P[first_R]
        if sorted_R.any():
            rows_R = again_R[sorted_R]
            uniforms_R, settings_R = uniforms_RD[sorted_R, -1], self._settings[rows_R]
            total_R = self._edges_BX[rows_R, -1]
            chosen_R[sorted_R] = draw_sorted(_host(self._weights_of(rows_R)), total_R, uniforms_R, settings_R)
        return chosen_R

    def _weights_of(self, rows_R: IntArray) -> Tensor:
        """Return a copy of some sequences' weights, in a quarter of the time of indexing."""
        return torch.index_select(self._weight_BW, 0, torch.from_numpy(rows_R).to(self._weight_BW.device))


def pick(numbers_BW: Tensor, token_B: IntArray) -> NDArray[np.float32]:
    """Return each sequence's number for one token, [B]."""
    return _at(numbers_BW, np.arange(len(token_B)), token_B)


def _at(numbers: Tensor, first_R: IntArray | int, second_R: IntArray | int) -> NDArray[np.float32]:
    """Return the numbers at some places along the first two dimensions."""
    if numbers.device.type == "cpu":
        found_R: NDArray[np.float32] = numbers.numpy()[first_R, second_R]
        return found_R
    return _host(numbers[torch.as_tensor(first_R), torch.as_tensor(second_R)])


def _host(numbers: Tensor) -> NDArray[np.float32]:
    """Return a tensor as a NumPy array."""
    array: NDArray[np.float32] = numbers.cpu().numpy()
    return array


def _inexact(total_B: NDArray[np.floating]) -> list[int]:
    """Return the sequences whose sums of weights may be inexact by underflow or overflow."""
    return [row for row, total in enumerate(total_B.tolist()) if not MIN_SUM < total < MAX_SUM]


def _is_dropped(
    weight_BW: Tensor,
    drawn_B: IntArray,
    total_B: FloatArray,
    settings: SamplingSettings,
    scratch_BW: Tensor,
) -> BoolArray:
    """Return whether min-p or top-p drop a token that was drawn, [B]; top-k is not considered.

    The scratch memory may be that of the weights.
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
        # A token stays while those above it have not reached top_p. Those are at most all others, so most draws need
        # no sum.
        doubtful_B = (settings.top_p < 1) & (height_B <= (1 - settings.top_p) * total_B)
        if doubtful_B.any():
            above_B = _sum_above(weight_BW, height_B, scratch_BW) * height_B
            dropped_B |= doubtful_B & (above_B >= settings.top_p * total_B)
    return dropped_B


def _sum_above(weight_BW: Tensor, height_B: NDArray[np.float32], scratch_BW: Tensor) -> NDArray[np.float32]:
    """Return the sum of the weights above one of them, in units of that one, [B].

    Divided by its own weight, a token is exactly 1, and one pass removes all that are not above it, several times
    faster than `where`.
    """
    height_B1 = torch.from_numpy(height_B).to(weight_BW.device).unsqueeze(1)
    ratio_BW = torch.div(weight_BW, height_B1, out=scratch_BW)
    return _host(torch.threshold_(ratio_BW, 1.0, 0.0).sum(dim=1))
