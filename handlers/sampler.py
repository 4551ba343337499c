"""Random numbers and the choice of tokens, row by row.

Every random number of a row comes from a counter-based generator (Philox) keyed by the row's seed alone, so a row draws
the same numbers in any batch, in any place of it, on any worker.

Shapes: B rows, V tokens, N blocks or numbers, K tokens of a block, R rows that are sorted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from torch import Tensor

_MASK_64: Final = 2**64 - 1
_MASK_63: Final = 2**63 - 1
_GOLDEN: Final = 0x9E3779B97F4A7C15
_BLOCK: Final = 64
"""Tokens that are summed up first when a distribution function is inverted."""
DRAWS: Final = 4
"""Random numbers that a step of a row may need: three draws from the whole distribution, one from the sorted one."""
_LEAST_TOP_P: Final = 0.5
_MOST_MIN_P: Final = 0.3


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

    def __getitem__(self, rows: Tensor) -> SamplingSettings:
        """The settings of some rows, given by index."""
        return SamplingSettings(
            temperature=self.temperature[rows],
            top_k=self.top_k[rows],
            top_p=self.top_p[rows],
            min_p=self.min_p[rows],
        )


def choose_tokens(logits_BV: Tensor, uniforms_BD: Tensor, settings: SamplingSettings) -> Tensor:
    """Draw one token per row from the filtered distribution.

    Filters act in this order, each on what the one before it left: temperature, top-k, min-p, top-p.
    A row at temperature 0 takes its most likely token.

    A token is drawn from the whole distribution and kept if the filters let it pass; if not, the row's next number
    draws again. That is the filtered distribution exactly, without sorting the vocabulary, which would cost several
    times the rest of a step. Rows whose filters let little pass are sorted after all.

    Args:
        logits_BV: unnormalised log-probabilities; -inf forbids a token.
        uniforms_BD: `DRAWS` numbers in (0, 1) per row, float64; the last one is for the sorted distribution.
        settings: per-row settings.

    Returns:
        int64 [B], token ids.
    """
    probability_BV = torch.softmax(logits_BV / settings.temperature.clamp_min(1e-6).unsqueeze(1), dim=1)
    greedy_B = settings.temperature <= 0
    # Each row goes its way by its own settings and numbers: what it draws must not depend on its neighbours.
    sorted_B = greedy_B | (settings.top_k > 0) | (settings.top_p < _LEAST_TOP_P) | (settings.min_p > _MOST_MIN_P)
    chosen_B = _invert(probability_BV, uniforms_BD[:, 0])
    missed_B = _is_dropped(probability_BV, chosen_B, settings)
    todo_R = (~sorted_B & missed_B).nonzero().squeeze(1)
    for draw in range(1, DRAWS - 1):
        if not len(todo_R):
            break
        probability_RV = probability_BV[todo_R]
        chosen_B[todo_R] = chosen_R = _invert(probability_RV, uniforms_BD[todo_R, draw])
        todo_R = todo_R[_is_dropped(probability_RV, chosen_R, settings[todo_R])]
    sorted_B[todo_R] = True
    rest_R = sorted_B.nonzero().squeeze(1)
    if len(rest_R):
        chosen_R = _draw_sorted(probability_BV[rest_R], uniforms_BD[rest_R, -1], settings[rest_R])
        chosen_B[rest_R] = torch.where(greedy_B[rest_R], probability_BV[rest_R].argmax(dim=1), chosen_R)
    return chosen_B


def _is_dropped(probability_BV: Tensor, chosen_B: Tensor, settings: SamplingSettings) -> Tensor:
    """Whether min-p or top-p drop each row's token, bool [B]; top-k is not looked at."""
    drawn_B1 = probability_BV.gather(1, chosen_B.unsqueeze(1))
    dropped_B = torch.zeros_like(chosen_B, dtype=torch.bool)
    total_B: Tensor | float = 1.0
    if bool((settings.min_p > 0).any()):
        floor_B1 = settings.min_p.unsqueeze(1) * probability_BV.amax(dim=1, keepdim=True)
        dropped_B |= (drawn_B1 < floor_B1).squeeze(1)
        kept_B = torch.where(probability_BV >= floor_B1, probability_BV, 0.0).sum(dim=1)
        total_B = torch.where(settings.min_p > 0, kept_B, 1.0)
    if bool((settings.top_p < 1).any()):
        # A token stays while those above it have not reached top_p: the first one always does.
        above_B = torch.where(probability_BV > drawn_B1, probability_BV, 0.0).sum(dim=1)
        dropped_B |= (settings.top_p < 1) & (above_B >= settings.top_p * total_B)
    return dropped_B


def _invert(probability_BV: Tensor, uniforms_B: Tensor) -> Tensor:
    """The token at which each row's distribution function, in the order of ids, reaches its number.

    In two steps, blocks and then the tokens of one block, so that nothing as long as the vocabulary is summed up one by
    one in double precision.
    """
    rows, size = probability_BV.shape
    if size % _BLOCK:
        probability_BV = torch.nn.functional.pad(probability_BV, (0, _BLOCK - size % _BLOCK))
    blocks_BNK = probability_BV.view(rows, -1, _BLOCK)
    edges_BN = blocks_BNK.sum(dim=2).cumsum(dim=1, dtype=torch.float64)
    height_B1 = uniforms_B.unsqueeze(1) * edges_BN[:, -1:]
    block_B1 = (edges_BN < height_B1).sum(dim=1, keepdim=True).clamp_max(edges_BN.shape[1] - 1)
    below_B1 = torch.where(block_B1 > 0, edges_BN.gather(1, (block_B1 - 1).clamp_min(0)), 0.0)
    tokens_BK = blocks_BNK.gather(1, block_B1.unsqueeze(2).expand(-1, 1, _BLOCK)).squeeze(1)
    within_BK = tokens_BK.cumsum(dim=1, dtype=torch.float64)
    # Rounding may leave the height above the block's end; the last token with any probability has it then.
    height_B1 = torch.minimum(height_B1 - below_B1, within_BK[:, -1:])
    place_B1 = (within_BK < height_B1).sum(dim=1, keepdim=True).clamp_max(_BLOCK - 1)
    return (block_B1 * _BLOCK + place_B1).squeeze(1)


def _draw_sorted(probability_RV: Tensor, uniforms_R: Tensor, settings: SamplingSettings) -> Tensor:
    """The token at which each row's filtered distribution function, likely tokens first, reaches its number."""
    sorted_RV, ids_RV = torch.sort(probability_RV, dim=1, descending=True, stable=True)
    cumulative_RV = _filter(sorted_RV, settings).cumsum(dim=1, dtype=torch.float64)
    threshold_R1 = uniforms_R.unsqueeze(1) * cumulative_RV[:, -1:]
    place_R1 = (cumulative_RV < threshold_R1).sum(dim=1, keepdim=True).clamp_max(sorted_RV.shape[1] - 1)
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
