"""Random numbers and the choice of tokens, row by row.

Every random number of a row comes from a counter-based generator (Philox) keyed by the row's seed alone, so a row draws
the same numbers in any batch, in any place of it, on any worker.

Shapes: B rows, V tokens, N blocks or numbers, K tokens of a block, D draws, R rows that draw again, Q that are sorted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
import torch
from torch import Tensor

_MASK_64: Final = 2**64 - 1
_MASK_63: Final = 2**63 - 1
_GOLDEN: Final = 0x9E3779B97F4A7C15
BLOCK: Final = 64
"""Tokens that are summed up first when a distribution function is inverted."""
DRAWS: Final = 4
"""Random numbers that a step of a row may need: three draws from the whole distribution, one from the sorted one."""
_LEAST_TOP_P: Final = 0.5
_MOST_MIN_P: Final = 0.3
_COLDEST: Final = 1e-9
"""Stands for temperature 0: one bit's last digit in single precision decides."""
_FAINT: Final = -60.0
_LEAST: Final = 1e-30


def derive_seed(seed: int, index: int) -> int:
    """Seed of row `index` of a request; row 0 has the request's own seed, so each sample can be asked for alone.

    Deriving from a derived seed meets the first one's other rows: number all rows of a request with one index.
    SplitMix64 (Steele, Lea and Flood 2014) of the index-th point after `seed`.
    """
    if index == 0:
        return seed
    x = (seed + index * _GOLDEN) & _MASK_64
    x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & _MASK_64
    x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & _MASK_64
    return (x ^ (x >> 31)) & _MASK_63


def row_uniforms(seeds: Sequence[int], count: int) -> Tensor:
    """Numbers in (0, 1) for each row, a function of the row's seed alone.

    Args:
        seeds: one per row, 0 to 2^63 - 1.
        count: numbers per row, N.

    Returns:
        float64 [B, N].
    """
    raw = np.empty((len(seeds), count), dtype=np.uint64)
    for row, seed in enumerate(seeds):
        # Philox's raw output is part of NumPy's compatibility promise; its floating-point methods are not.
        raw[row] = np.random.Philox(key=seed).random_raw(count)
    # The upper 53 bits, moved off zero by half a step: neither 0 nor 1 can occur.
    return torch.from_numpy(((raw >> np.uint64(11)).astype(np.float64) + 0.5) * 2.0**-53)


def standard_normals(uniforms: Tensor) -> Tensor:
    """N(0, 1) numbers by the inverse of the distribution function, one for each uniform number."""
    normals: Tensor = torch.special.ndtri(uniforms)
    return normals


@dataclass(frozen=True, slots=True, kw_only=True)
class SamplingSettings:
    """How each row's next token is chosen; every tensor is [B]. See `handlers.contract.CommentaryRequest`."""

    temperature: Tensor
    top_k: Tensor
    top_p: Tensor
    min_p: Tensor

    def __getitem__(self, rows: Tensor | slice) -> SamplingSettings:
        """The settings of some rows, given by index."""
        return SamplingSettings(
            temperature=self.temperature[rows],
            top_k=self.top_k[rows],
            top_p=self.top_p[rows],
            min_p=self.min_p[rows],
        )

    def ranks(self) -> Tensor:
        """Rows that are sorted from the start, bool [B]; see `Filters.rank`."""
        return (self.top_k > 0) | (self.top_p < _LEAST_TOP_P) | (self.min_p > _MOST_MIN_P)


class Filters(NamedTuple):
    """Which filters some row uses. One that no row uses is not looked at; asking in vain costs time, and no more."""

    rank: bool = True
    """A row that is sorted from the start: top-k, a small nucleus, a large min-p."""
    top_p: bool = True
    min_p: bool = True

    @classmethod
    def of(cls, top_k: int, top_p: float, min_p: float) -> Filters:
        """Those of one row."""
        return cls(
            rank=top_k > 0 or top_p < _LEAST_TOP_P or min_p > _MOST_MIN_P,
            top_p=top_p < 1,
            min_p=min_p > 0,
        )


def weigh(log2_BV: Tensor, temperature_B: Tensor, out_BV: Tensor) -> Tensor:
    """Write each token's probability, up to a factor per row; 0 where it is forbidden.

    Args:
        log2_BV: logarithms of the probabilities to base 2, up to a constant per row so that none is much above 0; -inf
            forbids a token. To base 2, since the power of 2 takes half the time of e's.
        temperature_B: divides the logarithms; at 0 the most likely token has all.
        out_BV: where to write 2^((logarithm - shift) / temperature).

    Returns:
        Each row's shift, [B], mostly 0.
    """
    scale_B1 = temperature_B.clamp_min(_COLDEST).reciprocal().unsqueeze(1)
    best_B1 = log2_BV.amax(dim=1, keepdim=True)
    # When what was likely is forbidden, the rest of a cold row may be too small for a float: it is measured by its own
    # best. Else that would only be one more pass over all numbers.
    faint_B1 = (best_B1 * scale_B1 < _FAINT) & (best_B1 > -torch.inf)
    shift_B1 = torch.where(faint_B1, best_B1, 0.0)
    if bool(faint_B1.any()):
        log2_BV = log2_BV - shift_B1
    torch.mul(log2_BV, scale_B1, out=out_BV).exp2_()
    return shift_B1.squeeze(1)


def choose_tokens(
    weight_BV: Tensor,
    uniforms_BD: Tensor,
    settings: SamplingSettings,
    filters: Filters | None = None,
    *,
    otherwise: int = 0,
    scratch_BV: Tensor | None = None,
) -> Tensor:
    """Draw one token per row from the filtered distribution.

    Filters act in this order, each on what the one before it left: temperature (`weigh`), top-k, min-p, top-p.

    A token is drawn from the whole distribution and kept if the filters let it pass; if not, the row's next number
    draws again. That is the filtered distribution exactly, without sorting the vocabulary, which would cost several
    times the rest of a step. Rows whose filters let little pass are sorted after all.

    Args:
        weight_BV: what `weigh` gives.
        uniforms_BD: `DRAWS` numbers in (0, 1) per row, float64; the last one is for the sorted distribution.
        settings: per-row settings.
        filters: those that some row uses; all by default.
        otherwise: the token of a row all of whose tokens are forbidden.
        scratch_BV: written over; memory of its own without it.

    Returns:
        int64 [B], token ids.
    """
    filters = filters or Filters()
    edges_BN = _edges(weight_BV)
    total_B1 = edges_BN[:, -1:]
    # All draws at once: so few numbers cost next to nothing, and what a call costs is the call.
    drawn_BD = _invert(weight_BV, edges_BN, uniforms_BD[:, :-1])
    chosen_B = drawn_BD[:, 0].clone()
    # Each row goes its way by its own settings and numbers: what it draws must not depend on its neighbours.
    again_B = _is_dropped(weight_BV, drawn_BD[:, :1], total_B1, settings, filters, scratch_BV=scratch_BV).squeeze(1)
    if filters.rank:
        again_B |= settings.ranks()
    again_R = again_B.nonzero().squeeze(1)
    if len(again_R):
        drawn_RD, weight_RV, settings_R = drawn_BD[again_R, 1:], weight_BV[again_R], settings[again_R]
        dropped_RD = _is_dropped(weight_RV, drawn_RD, total_B1[again_R], settings_R, filters)
        if filters.rank:
            dropped_RD |= settings_R.ranks().unsqueeze(1)
        # The first number that draws a token which may stay; false comes before true.
        chosen_R = drawn_RD.gather(1, dropped_RD.byte().argmin(dim=1, keepdim=True)).squeeze(1)
        rest_Q = dropped_RD.all(dim=1).nonzero().squeeze(1)
        if len(rest_Q):
            uniforms_Q = uniforms_BD[again_R[rest_Q], -1]
            chosen_R[rest_Q] = _draw_sorted(weight_RV[rest_Q], uniforms_Q, settings_R[rest_Q])
        chosen_B[again_R] = chosen_R
    return torch.where(total_B1.squeeze(1) > 0, chosen_B, otherwise)


def _is_dropped(
    weight_BV: Tensor,
    drawn_BD: Tensor,
    total_B1: Tensor,
    settings: SamplingSettings,
    filters: Filters,
    *,
    scratch_BV: Tensor | None = None,
) -> Tensor:
    """Whether min-p or top-p drop tokens, bool [B, D]; top-k is not looked at."""
    height_BD = weight_BV.gather(1, drawn_BD)
    dropped_BD = torch.zeros_like(drawn_BD, dtype=torch.bool)
    if filters.min_p:
        min_p_B1 = settings.min_p.unsqueeze(1)
        floor_B1 = min_p_B1 * weight_BV.amax(dim=1, keepdim=True)
        dropped_BD |= height_BD < floor_B1
        kept_B1 = torch.where(weight_BV >= floor_B1, weight_BV, 0.0).sum(dim=1, keepdim=True)
        total_B1 = torch.where(min_p_B1 > 0, kept_B1.to(total_B1.dtype), total_B1)
    if filters.top_p:
        # A token stays while those above it have not reached top_p: the first one always does. Divided by its own
        # weight the token is exactly 1, and what is not above it goes in one pass, several times faster than `where`.
        above = []
        for height_B in height_BD.T:
            ratio_BV = torch.div(weight_BV, height_B.unsqueeze(1), out=scratch_BV)
            above.append(torch.threshold_(ratio_BV, 1.0, 0.0).sum(dim=1))
        top_p_B1 = settings.top_p.unsqueeze(1)
        dropped_BD |= (top_p_B1 < 1) & (torch.stack(above, dim=1) * height_BD >= top_p_B1 * total_B1)
    return dropped_BD


def _edges(weight_BV: Tensor) -> Tensor:
    """The distribution function after each block of tokens, in the order of ids, float64 [B, N]."""
    if weight_BV.shape[1] % BLOCK:
        weight_BV = torch.nn.functional.pad(weight_BV, (0, -weight_BV.shape[1] % BLOCK))
    return weight_BV.view(len(weight_BV), -1, BLOCK).sum(dim=2).cumsum(dim=1, dtype=torch.float64)


def _invert(weight_BV: Tensor, edges_BN: Tensor, uniforms_BD: Tensor) -> Tensor:
    """The tokens at which each row's distribution function, in the order of ids, reaches its numbers, [B, D].

    In two steps, blocks and then the tokens of one block, so that nothing as long as the vocabulary is summed up one by
    one in double precision.
    """
    height_BD = uniforms_BD * edges_BN[:, -1:]
    block_BD = torch.searchsorted(edges_BN, height_BD).clamp_max_(edges_BN.shape[1] - 1)
    below_BD = torch.where(block_BD > 0, edges_BN.gather(1, (block_BD - 1).clamp_min_(0)), 0.0)
    tokens_BDK = block_BD.unsqueeze(2) * BLOCK + torch.arange(BLOCK, device=block_BD.device)
    tokens_BDK.clamp_max_(weight_BV.shape[1] - 1)
    weights_BDK = weight_BV.gather(1, tokens_BDK.flatten(1)).view(tokens_BDK.shape)
    within_BDK = weights_BDK.cumsum(dim=2, dtype=torch.float64)
    # Rounding may leave the height above the block's end; the last token with any probability has it then.
    height_BD1 = torch.minimum((height_BD - below_BD).unsqueeze(2), within_BDK[:, :, -1:])
    place_BD1 = torch.searchsorted(within_BDK, height_BD1).clamp_max_(BLOCK - 1)
    return tokens_BDK.gather(2, place_BD1).squeeze(2)


def _draw_sorted(weight_RV: Tensor, uniforms_R: Tensor, settings: SamplingSettings) -> Tensor:
    """The token at which each row's filtered distribution function, likely tokens first, reaches its number."""
    sorted_RV, ids_RV = torch.sort(weight_RV, dim=1, descending=True, stable=True)
    sorted_RV /= sorted_RV.sum(dim=1, keepdim=True, dtype=torch.float64).clamp_min_(_LEAST).float()
    cumulative_RV = _filter(sorted_RV, settings).cumsum(dim=1, dtype=torch.float64)
    threshold_R1 = uniforms_R.unsqueeze(1) * cumulative_RV[:, -1:]
    place_R1 = torch.searchsorted(cumulative_RV, threshold_R1).clamp_max_(sorted_RV.shape[1] - 1)
    return ids_RV.gather(1, place_R1).squeeze(1)


def _filter(top_BK: Tensor, settings: SamplingSettings) -> Tensor:
    """Probabilities in falling order, with those that the filters drop set to zero."""
    rank_K = torch.arange(top_BK.shape[1], device=top_BK.device)
    beyond_k_BK = (settings.top_k > 0).unsqueeze(1) & (rank_K >= settings.top_k.unsqueeze(1))
    too_small_BK = top_BK < settings.min_p.unsqueeze(1) * top_BK[:, :1]
    kept_BK = top_BK.masked_fill(beyond_k_BK | too_small_BK, 0.0)
    cumulative_BK = kept_BK.cumsum(dim=1, dtype=torch.float64)
    unfiltered_B = (settings.top_k == 0) & (settings.min_p == 0)
    total_B = torch.where(unfiltered_B, 1.0, cumulative_BK[:, -1])
    # A token stays while those before it have not reached top_p: the first one always does.
    return kept_BK.masked_fill(cumulative_BK - kept_BK >= (settings.top_p * total_B).unsqueeze(1), 0.0)
