"""Random numbers and the choice of tokens, row by row.

Every random number of a row comes from a counter-based generator (Philox) keyed by the row's seed alone, so a row draws
the same numbers in any batch, in any place of it, on any worker.

Shapes: B rows, V tokens, K most likely tokens, R rows that need more than K, N numbers.
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
# Sorting a whole vocabulary costs more than the rest of a step; the filters of a trained model end long before this.
_FIRST_WIDTH: Final = 256


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


def choose_tokens(logits_BV: Tensor, uniforms_B: Tensor, settings: SamplingSettings) -> Tensor:
    """Draw one token per row from the filtered distribution, by inverting its distribution function.

    Filters act in this order, each on what the one before it left: temperature, top-k, min-p, top-p.
    A row at temperature 0 takes its most likely token.

    Args:
        logits_BV: unnormalised log-probabilities; -inf forbids a token.
        uniforms_B: one number in (0, 1) per row.
        settings: per-row settings.

    Returns:
        int64 [B], token ids.
    """
    greedy_B = settings.temperature <= 0
    probability_BV = torch.softmax(logits_BV / settings.temperature.clamp_min(1e-6).unsqueeze(1), dim=1)
    width = min(_FIRST_WIDTH, logits_BV.shape[1])
    top_BK, ids_BK = torch.topk(probability_BV, width, dim=1)
    chosen_B = _draw(top_BK, ids_BK, uniforms_B, settings)
    if width < logits_BV.shape[1]:
        # Row by row: the two ways order equals differently, and what a row draws must not depend on its neighbours.
        rest_R = (~_holds_all_candidates(top_BK, settings)).nonzero().squeeze(1)
        if len(rest_R):
            sorted_RV, ids_RV = torch.sort(probability_BV[rest_R], dim=1, descending=True, stable=True)
            chosen_B[rest_R] = _draw(sorted_RV, ids_RV, uniforms_B[rest_R], settings[rest_R])
    return torch.where(greedy_B, ids_BK[:, 0], chosen_B)


def _draw(sorted_BK: Tensor, ids_BK: Tensor, uniforms_B: Tensor, settings: SamplingSettings) -> Tensor:
    """The token at which each row's filtered distribution function reaches the row's number."""
    cumulative_BK = _filter(sorted_BK, settings).cumsum(dim=1, dtype=torch.float64)
    threshold_B1 = uniforms_B.unsqueeze(1) * cumulative_BK[:, -1:]
    place_B1 = (cumulative_BK < threshold_B1).sum(dim=1, keepdim=True).clamp_max(sorted_BK.shape[1] - 1)
    return ids_BK.gather(1, place_B1).squeeze(1)


def _holds_all_candidates(top_BK: Tensor, settings: SamplingSettings) -> Tensor:
    """Whether each row's filters are sure to end within its K most likely tokens, bool [B]."""
    by_count_B = (settings.top_k > 0) & (settings.top_k <= top_BK.shape[1])
    by_size_B = top_BK[:, -1] < settings.min_p * top_BK[:, 0]
    # Without other filters the whole distribution weighs 1, so the nucleus ends where the sum reaches top_p.
    by_mass_B = (settings.top_k == 0) & (settings.min_p == 0) & (top_BK.sum(dim=1) >= settings.top_p)
    return by_count_B | by_size_B | by_mass_B | (settings.temperature <= 0)


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
