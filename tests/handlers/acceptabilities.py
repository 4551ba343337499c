"""Acceptabilities of tiny models: scores that prefer what a test can see."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from types import MappingProxyType

import torch

from handlers.model.acceptability import FEATURES, TOKEN_FEATURES, Acceptability, Check
from handlers.model.bundle import Bundle


def check(after: int, keep: float, **weights: float) -> Check:
    """A check that forecasts the mean log-probability so far, unless other features are weighed."""
    given = weights or {"mean_log_prob": 1.0}
    return Check(after=after, keep=keep, weights=dict.fromkeys(TOKEN_FEATURES, 0.0) | given)


def acceptability(
    num_tokens: int,
    weights: Mapping[str, float] = MappingProxyType({"mean_log_prob": 1.0}),
    *,
    checks: tuple[Check, ...] = (),
    opening_penalty: float = 0.0,
) -> Acceptability:
    """A score of features as they are, by default the mean log-probability; unigrams are random."""
    unigram_log_probs_V = torch.randn(num_tokens, generator=torch.Generator().manual_seed(3)).log_softmax(0)
    plain = Acceptability.uncalibrated(dict.fromkeys(FEATURES, 0.0) | dict(weights), unigram_log_probs_V)
    return dataclasses.replace(plain, checks=checks, opening_penalty=opening_penalty)


def accepting(
    bundle: Bundle,
    weights: Mapping[str, float] = MappingProxyType({"mean_log_prob": 1.0}),
    *,
    checks: tuple[Check, ...] = (),
    opening_penalty: float = 0.0,
) -> Bundle:
    """A bundle with an acceptability."""
    made = acceptability(len(bundle.vocabulary), weights, checks=checks, opening_penalty=opening_penalty)
    return dataclasses.replace(bundle, acceptability=made)
