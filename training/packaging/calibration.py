"""Calibration of a bundle's acceptability: means, scales and checks, by candidates that the model decodes.

Candidates are abandoned where the score that they are likely to have is low. The forecast at a check is the ridge
regression of the score on the features of the first tokens (`handlers.model.acceptability.TokenFeatures`), and the
threshold is the quantile below which the share to abandon lies. So a request costs about the same with every model.

Shapes: V tokens of the vocabulary, N candidates, P = 1 + features of the first tokens.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from handlers.commentary import Commentator
from handlers.contract import DEFAULT_BEST_OF, MAX_TOKENS, CommentaryRequest
from handlers.model.acceptability import FEATURES, TOKEN_FEATURES, Acceptability, Check, TokenFeatures
from handlers.model.bundle import Bundle
from handlers.model.vocabulary import EOS_ID, Vocabulary
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
    abandon_after: tuple[int, ...] = (6, 12)
    """Numbers of tokens after which there is a check."""
    keep: tuple[float, ...] = (0.5, 0.5)
    """Share of the candidates at each check that is decoded further."""
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


def unigram_log_probs(vocabulary: Vocabulary, texts: Iterable[str]) -> Tensor:
    """Return the log-probability of each token by its frequency in some sentences, end marks included: float32 [V].

    Each token counts half an occurrence more, so that one that no sentence holds has a probability too.
    """
    counts: Counter[int] = Counter()
    for text in texts:
        counts.update(vocabulary.encode(text))
        counts[EOS_ID] += 1
    count_V = np.full(len(vocabulary), 0.5)
    for number, count in counts.items():
        count_V[number] += count
    return torch.from_numpy(np.log(count_V / count_V.sum()).astype(np.float32))


def calibrate(
    bundle: Bundle,
    *,
    texts: Iterable[str],
    genres: Sequence[Sequence[str]],
    settings: CalibrationSettings = CalibrationSettings(),
    weights: Mapping[str, float] = WEIGHTS,
    progress: Progress = silent,
) -> Calibration:
    """Return the acceptability of a model; the bundle's own, if it has one, is not used.

    Args:
        bundle: model, complete but for its acceptability.
        texts: training sentences, which give the frequencies of tokens.
        genres: genres of real sentences, of which requests are made; may be empty.
        settings: settings of the calibration.
        weights: weight of each feature.
        progress: gets the number of requests answered.

    Raises:
        ValueError: the weights are not those of the features.
    """
    started = Acceptability.uncalibrated(weights, unigram_log_probs(bundle.vocabulary, texts))
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
    checks = _checks(every, scaled, settings)
    acceptability = replace(scaled, checks=checks)
    return Calibration(acceptability=acceptability, figures=cost(groups, acceptability))


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
    every: Sequence[Candidate], acceptability: Acceptability, settings: CalibrationSettings
) -> tuple[Check, ...]:
    scores = [acceptability.score(each.features) for each in every]
    lowest = min(scores)
    # A sentence that was cut off ranks last.
    left = [(each, score if each.decoded.finished else lowest) for each, score in zip(every, scores, strict=True)]
    checks = []
    for after, keep in zip(settings.abandon_after, settings.keep, strict=True):
        # One that ends at the check is not checked.
        left = [(each, score) for each, score in left if each.decoded.token_count > after]
        if not left:
            break
        first = [_first_tokens(each, after, acceptability) for each, _ in left]
        forecaster = _forecaster(first, [score for _, score in left], after)
        forecasts = [forecaster.forecast(each) for each in first]
        check = replace(forecaster, threshold=float(np.quantile(forecasts, 1 - keep)))
        left = [pair for pair, forecast in zip(left, forecasts, strict=True) if forecast >= check.threshold]
        checks.append(check)
    return tuple(checks)


def _first_tokens(candidate: Candidate, count: int, acceptability: Acceptability) -> TokenFeatures:
    decoded = candidate.decoded
    return TokenFeatures.of(decoded.drawn_ids[:count], decoded.token_log_probs[:count], acceptability.unigram_log_probs)


def _forecaster(first: Sequence[TokenFeatures], scores: Sequence[float], after: int) -> Check:
    """Fit the forecast of the score by ridge regression on standardised features."""
    features_NP = np.array([[getattr(each, name) for name in TOKEN_FEATURES] for each in first])
    means, scales = features_NP.mean(axis=0), np.maximum(features_NP.std(axis=0), _SMALLEST_SCALE)
    standard_NP = (features_NP - means) / scales
    gram_PP = standard_NP.T @ standard_NP + _RIDGE * len(first) * np.eye(len(TOKEN_FEATURES))
    target_N: NDArray[np.float64] = np.array(scores) - np.mean(scores)
    weights = np.linalg.solve(gram_PP, standard_NP.T @ target_N) / scales
    return Check(
        after=after,
        weights=dict(zip(TOKEN_FEATURES, weights.tolist(), strict=True)),
        intercept=float(np.mean(scores) - weights @ means),
        threshold=0.0,
    )


def cost(groups: Sequence[Sequence[Candidate]], acceptability: Acceptability) -> dict[str, float]:
    """Return what the checks cost and lose on candidates that were decoded to their end.

    `steps_per_sample` is the number of tokens drawn for each sample, and `steps_of_one` that of a single candidate.
    `best_survives` is the share of samples whose best candidate is not abandoned, `score_lost` the mean difference of
    the best score with and without checks, and `none_survives` the share of samples that are decoded again.
    """
    rule = acceptability.abandonment
    tokens = steps = survives = none = 0
    lost = []
    for group in groups:
        scores = [(each.decoded.finished, acceptability.score(each.features)) for each in group]
        stopped = [each.decoded if rule is None else each.decoded.stopped_by(rule) for each in group]
        left = [number for number, each in enumerate(stopped) if not each.abandoned]
        best = max(range(len(group)), key=scores.__getitem__)
        tokens += sum(each.decoded.token_count for each in group)
        steps += sum(each.token_count for each in stopped)
        survives += best in left
        none += not left
        if left:
            lost.append(scores[best][1] - max(scores[number] for number in left)[1])
    one = tokens / max(1, sum(map(len, groups)))
    return {
        "candidates": float(sum(map(len, groups))),
        "steps_of_one": one,
        "steps_per_sample": steps / len(groups) + none / len(groups) * one,
        "best_survives": survives / len(groups),
        "none_survives": none / len(groups),
        "score_lost": float(np.mean(lost)) if lost else 0.0,
        "score_spread": float(np.std([acceptability.score(each.features) for group in groups for each in group])),
    }
