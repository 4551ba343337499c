"""Calibration of a bundle's acceptability: means, scales and checks, by candidates that the model decodes.

Of a sample's candidates, a check keeps those whose forecast is highest (`handlers.decoding.rivals`). The forecast is
the ridge regression of the score on the features of the first tokens (`handlers.model.acceptability.TokenFeatures`),
both less their means over the candidates of the sample that come to the check, since these alone are compared.

Shapes: V tokens of the vocabulary, N candidates, F features, P features of the first tokens.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from handlers.commentary import Commentator
from handlers.contract import DEFAULT_BEST_OF, MAX_TOKENS, CommentaryRequest, RankBy
from handlers.decoding.arrays import IntArray
from handlers.decoding.rivals import Rivals
from handlers.decoding.sequences import DecodedSequence
from handlers.model.acceptability import (
    FEATURES,
    TOKEN_FEATURES,
    Abandonment,
    Acceptability,
    Check,
    first_token_features,
)
from handlers.model.bundle import Bundle
from handlers.ranking.candidates import Candidate
from training.packaging.score_weights import OPENING_PENALTY, VERSION, WEIGHTS
from training.progress import Progress, silent

_REQUESTS_AT_ONCE: Final = 16
_SMALLEST_SCALE: Final = 1e-6
_RIDGE: Final = 1e-3
"""Penalty of the forecast's weights, for features that hardly vary."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CalibrationSettings:
    """Settings of a calibration.

    Raises:
        ValueError: a value is out of range.
    """

    num_groups: int = 250
    """Number of samples whose candidates are decoded."""
    best_of: int = DEFAULT_BEST_OF
    """Candidates of each."""
    abandon_after: tuple[int, ...] = (3, 6, 10)
    """Numbers of tokens after which there is a check."""
    keep: tuple[float, ...] = (0.5, 0.25, 0.125)
    """Share of a sample's candidates that go on from each check: 8, 4 and 2 of 16, for 5.5 times the tokens of one."""
    seed: int = 0

    def __post_init__(self) -> None:
        if self.num_groups < 1 or self.best_of < 1:
            raise ValueError(f"a calibration needs candidates, got {self.num_groups} groups of {self.best_of}")
        if len(self.abandon_after) != len(self.keep):
            raise ValueError(f"each check has a share to keep, got {self.abandon_after} and {self.keep}")
        if list(self.abandon_after) != sorted(set(self.abandon_after)) or not all(
            1 <= place < MAX_TOKENS for place in self.abandon_after
        ):
            raise ValueError(f"checks must be in ascending order, from 1 to {MAX_TOKENS - 1}, got {self.abandon_after}")
        if not all(0 < share <= 1 for share in self.keep):
            raise ValueError(f"shares to keep must be above 0 and at most 1, got {self.keep}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """Result of a calibration."""

    acceptability: Acceptability
    figures: dict[str, float]
    """Candidates and their tokens; and of the checks, their cost and what they lose."""
    groups: tuple[tuple[Candidate, ...], ...]
    """Candidates of each sample, decoded to their end."""

    @property
    def samples(self) -> tuple[Candidate, ...]:
        """Candidate of each group that a worker would return by this score."""
        return tuple(chosen_by_score(group, self.acceptability) for group in self.groups)


def unigram_log_probs(token_counts_V: IntArray) -> Tensor:
    """Return the log-probability of each token by its frequency, float32 [V].

    Each token counts half an occurrence more, so that one that no sentence holds has a probability too.
    """
    count_V = token_counts_V + 0.5
    return torch.from_numpy(np.log(count_V / count_V.sum()).astype(np.float32))


def calibrate(
    bundle: Bundle,
    *,
    token_counts_V: IntArray,
    genres: Sequence[Sequence[str]],
    settings: CalibrationSettings = CalibrationSettings(),
    weights: Mapping[str, float] = WEIGHTS,
    progress: Progress = silent,
) -> Calibration:
    """Return the acceptability of a model; the bundle's own, if it has one, is not used.

    Args:
        bundle: model, complete but for its acceptability.
        token_counts_V: frequency of each token in the training sentences, end marks included.
        genres: genres of real sentences, of which requests are made; may be empty.
        settings: settings of the calibration.
        weights: weight of each feature.
        progress: gets the number of requests answered.

    Raises:
        ValueError: the weights are not those of the features.
    """
    started = Acceptability.uncalibrated(weights, unigram_log_probs(token_counts_V))
    groups = candidates(replace(bundle, acceptability=started), genres, settings, progress=progress)
    every = [candidate for group in groups for candidate in group]
    features_NF = np.array([[getattr(each.features, name) for name in FEATURES] for each in every])
    scales = np.maximum(features_NF.std(axis=0), _SMALLEST_SCALE)
    # A feature that is the same in all candidates must not decide by its rounding.
    scales[features_NF.std(axis=0) < _SMALLEST_SCALE] = 1.0
    scaled = replace(
        started,
        means=dict(zip(FEATURES, features_NF.mean(axis=0).tolist(), strict=True)),
        scales=dict(zip(FEATURES, scales.tolist(), strict=True)),
        opening_penalty=OPENING_PENALTY,
        version=VERSION if weights is WEIGHTS else 0,
    )
    checks = _checks(groups, scaled, settings)
    acceptability = replace(scaled, checks=checks)
    return Calibration(
        acceptability=acceptability,
        figures=cost(groups, acceptability),
        groups=tuple(map(tuple, groups)),
    )


def candidates(
    bundle: Bundle,
    genres: Sequence[Sequence[str]],
    settings: CalibrationSettings = CalibrationSettings(),
    *,
    progress: Progress = silent,
) -> list[list[Candidate]]:
    """Return all candidates of some samples, decoded to their end, with features and score, for fits of the weights.

    Args:
        bundle: model with an acceptability, `Acceptability.uncalibrated` for example.
        genres: genres of real sentences, of which requests are made; may be empty.
        settings: number of samples and candidates.
        progress: gets the number of requests answered.
    """
    chosen = np.random.default_rng(settings.seed).choice(max(1, len(genres)), size=settings.num_groups)
    requests = [
        CommentaryRequest(
            genres=tuple(genres[number]) if genres else (),
            num_samples=1,
            best_of=settings.best_of,
            rank_by=RankBy.ACCEPTABILITY,
            seed=settings.seed + place,
        )
        for place, number in enumerate(chosen.tolist())
    ]
    commentator = Commentator(bundle)
    groups: list[list[Candidate]] = []
    for start in range(0, len(requests), _REQUESTS_AT_ONCE):
        for samples in commentator.candidates(requests[start : start + _REQUESTS_AT_ONCE]):
            groups += samples
        progress(len(groups), len(requests), "candidates")
    return groups


def _checks(
    groups: Sequence[Sequence[Candidate]], acceptability: Acceptability, settings: CalibrationSettings
) -> tuple[Check, ...]:
    """Fit the forecast of each check on those candidates that the checks before it leave."""
    left = [list(group) for group in groups]
    checks: list[Check] = []
    for after, keep in zip(settings.abandon_after, settings.keep, strict=True):
        # One that has ended is not compared.
        reached = [[each for each in group if each.decoded.token_count > after] for group in left]
        weights = _forecast_weights([group for group in reached if group], acceptability, after)
        checks.append(Check(after=after, keep=keep, weights=weights))
        rule = Abandonment(checks=tuple(checks), unigrams_V=acceptability.unigrams_V)
        left = [_left(group, rule) for group in groups]
    return tuple(checks)


def _forecast_weights(
    groups: Sequence[Sequence[Candidate]], acceptability: Acceptability, after: int
) -> dict[str, float]:
    """Return the weights of the features of the first tokens in the forecast of the score."""
    features, scores = [np.zeros((0, len(TOKEN_FEATURES)))], [np.zeros(0)]
    for group in groups:
        ids = np.array([each.decoded.ids[:after] for each in group], dtype=np.int64)
        log_probs = np.array([each.decoded.token_log_probs[:after] for each in group])
        found = first_token_features(ids, log_probs, acceptability.unigrams_V)
        score = np.array([acceptability.score(each.features) for each in group])
        features.append(found - found.mean(axis=0))
        scores.append(score - score.mean())
    features_NP, score_N = np.concatenate(features), np.concatenate(scores)
    scales_P = np.maximum(np.sqrt((features_NP**2).sum(axis=0) / max(1, len(features_NP))), _SMALLEST_SCALE)
    standard_NP = features_NP / scales_P
    gram_PP = standard_NP.T @ standard_NP + (_RIDGE * len(features_NP) + _SMALLEST_SCALE) * np.eye(len(scales_P))
    weights_P: NDArray[np.float64] = np.linalg.solve(gram_PP, standard_NP.T @ score_N) / scales_P
    return dict(zip(TOKEN_FEATURES, weights_P.tolist(), strict=True))


def _left(group: Sequence[Candidate], rule: Abandonment | None) -> list[Candidate]:
    """Return the candidates of a sample that are not abandoned."""
    return [each for each, settled in zip(group, _settled(group, rule), strict=True) if not settled.abandoned]


def _settled(group: Sequence[Candidate], rule: Abandonment | None) -> list[DecodedSequence]:
    decoded = [each.decoded for each in group]
    return decoded if rule is None else Rivals(rule=rule, groups=(tuple(range(len(group))),)).settle(decoded)


def chosen_by_score(group: Sequence[Candidate], acceptability: Acceptability) -> Candidate:
    """Return the candidate of a sample that a worker returns: the best of those that are not abandoned."""
    left = _left(group, acceptability.abandonment)
    return max(left, key=lambda each: (each.decoded.finished, acceptability.score(each.features)))


def cost(groups: Sequence[Sequence[Candidate]], acceptability: Acceptability) -> dict[str, float]:
    """Return what the checks cost and lose on candidates that were decoded to their end.

    `steps_per_sample` is the number of tokens drawn for each sample, and `steps_of_one` that of a single candidate.
    `score_of_one`, `score_of_all` and `score` are mean scores: of the first candidate, of the best of all, and of the
    best of those that are not abandoned. `best_survives` is the share of samples whose best candidate is among these.
    """
    rule = acceptability.abandonment
    steps, survives, first, best, kept = 0, 0, [], [], []
    for group in groups:
        scores = {id(each): (each.decoded.finished, acceptability.score(each.features)) for each in group}
        steps += sum(each.token_count for each in _settled(group, rule))
        chosen = chosen_by_score(group, acceptability)
        whole = max(group, key=lambda each: scores[id(each)])
        survives += chosen is whole
        first.append(scores[id(group[0])][1])
        best.append(scores[id(whole)][1])
        kept.append(scores[id(chosen)][1])
    count = sum(map(len, groups))
    return {
        "candidates": float(count),
        "steps_of_one": sum(each.decoded.token_count for group in groups for each in group) / count,
        "steps_per_sample": steps / len(groups),
        "best_survives": survives / len(groups),
        "score_of_one": float(np.mean(first)),
        "score": float(np.mean(kept)),
        "score_of_all": float(np.mean(best)),
    }
