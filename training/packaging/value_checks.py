"""Checks of a value function: the points at which a worker that ranks by both stops hopeless candidates.

They are fitted as those of the score are (`training.packaging.calibration`), on candidates that the model decodes to
their end, with another target: what a worker ranks by where both rank (`handlers.ranking.value_rule.total`). How likely
the first tokens are tells little of that, and which tokens they are tells more. So each token has a weight: the ridge
regression of the target on how often each token is among the first ones.

What is ranked by a taste repeats itself more than what is ranked by the score. So common word pairs of the model's
samples cost a candidate something: the least at which what is chosen is as different as what the score chooses.

Shapes: N candidates, P first tokens, V tokens of the vocabulary, F features of the first tokens, C checks.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from scipy.sparse.linalg import lsqr

from handlers.contract import DEFAULT_BEST_OF, RankBy
from handlers.decoding.rivals import Rivals
from handlers.model.acceptability import TOKEN_FEATURES, Abandonment, Check, first_token_features
from handlers.model.bundle import Bundle
from handlers.model.common_pairs import CommonPairs
from handlers.model.value import SentenceValue
from handlers.ranking.candidates import Candidate
from handlers.ranking.value_rule import Valued, total
from handlers.ranking.values import Values
from training.measures import distinct
from training.packaging.calibration import CalibrationSettings, candidates, chosen_by_score
from training.progress import Progress, silent

FloatArray = NDArray[np.float64]

_TOKEN_RIDGE: Final = 10.0
"""Penalty of the tokens' weights: a token that is seen 10 times gets half of what a regression without it gives."""
_FEATURE_RIDGE: Final = 1e-3
_SMALLEST_SCALE: Final = 1e-6
_FOLDS: Final = 4
_COMMON: Final = 1 / 2_000
"""Share of the model's samples that hold a common pair."""
_LEAST: Final = 3
"""Smallest number of samples that make a pair common."""
_COMMON_WEIGHTS: Final = (0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 10.0, 12.0, 15.0)
"""Weights of common pairs that are tried, in log odds."""
VARIETIES: Final = (1.08, 1.16, 1.25)
"""Distinct-2 of what is chosen, over that of what the score chooses, at which the weight is high enough; the next where
a version is not within its limits. They are above 1 because other samples decide that, and because of chance."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ValueCheckSettings:
    """Settings of the checks of a value function."""

    num_groups: int = 300
    """Number of samples whose candidates are decoded; tokens need more of them than the score's checks."""
    best_of: int = DEFAULT_BEST_OF
    """Candidates of each."""
    abandon_after: tuple[int, ...] = (3, 6, 10)
    """Numbers of tokens after which there is a check."""
    keep: tuple[float, ...] = (0.5, 0.25, 0.1875)
    """Share of a sample's candidates that go on from each check: 8, 4 and 3 of 16. The last are the short list that is
    ranked."""
    seed: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class _Reached:
    """Candidates that come to a check, with the target less its mean over those of the same sample."""

    group_N: NDArray[np.int64]
    """Number of each one's sample."""
    ids_NP: NDArray[np.int64]
    log_probs_NP: FloatArray
    target_N: FloatArray

    @classmethod
    def of(
        cls, groups: Sequence[Sequence[Candidate]], targets: Sequence[Sequence[float]], after: int
    ) -> _Reached | None:
        """Return those with more than `after` tokens; None if there are none."""
        found = [
            (number, each.decoded.ids[:after], each.decoded.token_log_probs[:after], target)
            for number, (group, of_group) in enumerate(zip(groups, targets, strict=True))
            for each, target in zip(group, of_group, strict=True)
            if each.decoded.token_count > after
        ]
        if not found:
            return None
        group_N, ids_NP, log_probs_NP, target_N = map(np.array, zip(*found, strict=True))
        return cls(
            group_N=group_N,
            ids_NP=ids_NP,
            log_probs_NP=log_probs_NP,
            target_N=_centred(target_N[:, None], group_N)[:, 0],
        )


def decoded_groups(
    bundle: Bundle,
    genres: Sequence[Sequence[str]],
    settings: ValueCheckSettings = ValueCheckSettings(),
    *,
    progress: Progress = silent,
) -> list[list[Candidate]]:
    """Return candidates to which a ranking is fitted, decoded to their end.

    Args:
        bundle: complete model.
        genres: genres of real sentences, of which requests are made; may be empty.
        settings: numbers of samples and candidates.
        progress: gets the number of requests answered.
    """
    decoded = CalibrationSettings(num_groups=settings.num_groups, best_of=settings.best_of, seed=settings.seed)
    return candidates(bundle, genres, decoded, progress=progress)


def fit_ranking(
    bundle: Bundle,
    groups: Sequence[Sequence[Candidate]],
    settings: ValueCheckSettings = ValueCheckSettings(),
    *,
    variety: float = VARIETIES[0],
) -> SentenceValue:
    """Return the value function of a bundle with checks, and with the weight of common pairs that variety needs.

    Args:
        bundle: complete model with a value function.
        groups: candidates of each sample, decoded to their end.
        settings: settings of the checks.
        variety: distinct-2 of what is chosen, over that of what the score chooses.

    Raises:
        ValueError: the bundle has no value function or no acceptability.
    """
    value, acceptability = _value(bundle), bundle.acceptability
    if acceptability is None:
        raise ValueError(f"{bundle.config.model} has no acceptability, which ranks where both rank")
    enough = variety * distinct([chosen_by_score(group, acceptability).text for group in groups], 2)
    texts = [candidate.text for group in groups for candidate in group]
    least = max(_LEAST, math.ceil(_COMMON * len(texts)))
    log_odds = _log_odds(bundle, groups)

    def is_enough(ranked: Bundle) -> bool:
        chosen = chosen_by_both(ranked, groups, log_odds=log_odds)
        return distinct([each.text for each in chosen], 2) >= enough

    for weight in _COMMON_WEIGHTS:
        common = CommonPairs.of(texts, least=least, weight=weight)
        ranked = replace(bundle, value=replace(value, common=common, checks=(), tokens_CV=None))
        # The choice among all candidates is known at once, and that from a short list is seldom more different.
        if weight < _COMMON_WEIGHTS[-1] and not is_enough(ranked):
            continue
        listed = replace(ranked, value=fit_checks(ranked, groups, settings, log_odds=log_odds))
        if weight == _COMMON_WEIGHTS[-1] or is_enough(listed):
            break
    return _value(listed)


def fit_checks(
    bundle: Bundle,
    groups: Sequence[Sequence[Candidate]],
    settings: ValueCheckSettings = ValueCheckSettings(),
    *,
    log_odds: Sequence[float] | None = None,
) -> SentenceValue:
    """Return the value function of a bundle with checks that are fitted to candidates of its model.

    Args:
        bundle: complete model with a value function.
        groups: candidates of each sample, decoded to their end.
        settings: places of the checks, and the shares that go on.
        log_odds: value of each candidate in turn, where it is known.

    Raises:
        ValueError: the bundle has no value function or no acceptability.
    """
    value, unigrams_V = _value(bundle), _unigrams(bundle)
    targets = totals(bundle, groups, log_odds=log_odds)
    checks: list[Check] = []
    tokens_CV = np.zeros((len(settings.abandon_after), len(bundle.vocabulary)))
    left, left_targets = [list(group) for group in groups], targets
    for number, (after, keep) in enumerate(zip(settings.abandon_after, settings.keep, strict=True)):
        # Tokens are weighed by all candidates that come so far; how much they count, by those that are compared.
        token_V = _token_weights(_Reached.of(groups, targets, after), len(bundle.vocabulary))
        reached = _Reached.of(left, left_targets, after)
        weights, tokens_CV[number] = _weights(reached, _Reached.of(groups, targets, after), token_V, unigrams_V)
        checks.append(Check(after=after, keep=keep, weights=weights))
        rule = Abandonment(checks=tuple(checks), unigrams_V=unigrams_V, tokens_CV=tokens_CV[: number + 1])
        kept = [_survivors(group, rule) for group in groups]
        left = [[group[place] for place in places] for group, places in zip(groups, kept, strict=True)]
        left_targets = [[of[place] for place in places] for of, places in zip(targets, kept, strict=True)]
    return replace(value, checks=tuple(checks), tokens_CV=torch.from_numpy(tokens_CV).float())


def totals(
    bundle: Bundle, groups: Sequence[Sequence[Candidate]], *, log_odds: Sequence[float] | None = None
) -> list[list[float]]:
    """Return what each candidate is ranked by where both rank, in natural log odds.

    Args:
        bundle: complete model with a value function.
        groups: candidates of each sample.
        log_odds: value of each candidate in turn, where it is known.

    Raises:
        ValueError: the bundle has no value function or no acceptability.
    """
    acceptability = bundle.acceptability
    if acceptability is None:
        raise ValueError(f"{bundle.config.model} has no acceptability, which ranks where both rank")
    found = iter(_log_odds(bundle, groups) if log_odds is None else log_odds)
    common = _value(bundle).common
    texts = [candidate.text for group in groups for candidate in group]
    lost = iter([0.0] * len(texts) if common is None else common.losses(texts))

    def ranked_by(candidate: Candidate) -> float:
        return total(
            Valued(
                index=0,
                finished=candidate.decoded.finished,
                text=candidate.text,
                log_odds=next(found),
                copies=int(candidate.features.copies),
                score=acceptability.score(candidate.features),
                common=next(lost),
            ),
            RankBy.BOTH,
        )

    return [[ranked_by(candidate) for candidate in group] for group in groups]


def _log_odds(bundle: Bundle, groups: Sequence[Sequence[Candidate]]) -> list[float]:
    """Return the value of each candidate in turn, in natural log odds."""
    values = Values(_value(bundle), bundle.decoder.token_embedding.weight, bundle.vocabulary)
    every = [candidate for group in groups for candidate in group]
    return values.log_odds([each.text for each in every], [each.shares for each in every])


def chosen_by_both(
    bundle: Bundle, groups: Sequence[Sequence[Candidate]], *, log_odds: Sequence[float] | None = None
) -> list[Candidate]:
    """Return the candidate of each sample that a worker returns where both rank.

    Args:
        bundle: complete model with a value function.
        groups: candidates of each sample.
        log_odds: value of each candidate in turn, where it is known.

    Raises:
        ValueError: the bundle has no value function or no acceptability.
    """
    rule = _value(bundle).abandonment(_unigrams(bundle))
    chosen = []
    for group, of_group in zip(groups, totals(bundle, groups, log_odds=log_odds), strict=True):
        left = range(len(group)) if rule is None else _survivors(group, rule)
        chosen.append(group[max(left, key=lambda place: (group[place].decoded.finished, of_group[place]))])
    return chosen


def _value(bundle: Bundle) -> SentenceValue:
    if bundle.value is None:
        raise ValueError(f"{bundle.config.model} has no value function")
    return bundle.value


def _unigrams(bundle: Bundle) -> FloatArray:
    if bundle.acceptability is None:
        raise ValueError(f"{bundle.config.model} has no acceptability, which gives the unigrams")
    return bundle.acceptability.unigrams_V


def _survivors(group: Sequence[Candidate], rule: Abandonment) -> list[int]:
    """Return the places of the candidates of a sample that are not abandoned."""
    settled = Rivals(rule=rule, groups=(tuple(range(len(group))),)).settle([each.decoded for each in group])
    return [place for place, each in enumerate(settled) if not each.abandoned]


def _token_weights(reached: _Reached | None, num_tokens: int) -> FloatArray:
    """Return the weight of each token before a check: [V]."""
    if reached is None:
        return np.zeros(num_tokens)
    counts_NV = _counts(reached, num_tokens)
    found: FloatArray = lsqr(counts_NV, reached.target_N, damp=math.sqrt(_TOKEN_RIDGE))[0]
    return found


def _counts(reached: _Reached, num_tokens: int) -> csr_matrix:
    count, places = reached.ids_NP.shape
    rows = np.repeat(np.arange(count), places)
    ones = np.ones(count * places)
    return csr_matrix((ones, (rows, reached.ids_NP.ravel())), shape=(count, num_tokens))


def _weights(
    compared: _Reached | None, every: _Reached | None, token_V: FloatArray, unigrams_V: FloatArray
) -> tuple[dict[str, float], FloatArray]:
    """Return the weights of the features of the first tokens, and those of the tokens, in the forecast.

    The tokens of each candidate are weighed by the others' samples: weights that were fitted to it would flatter.
    """
    if compared is None or every is None:
        return dict.fromkeys(TOKEN_FEATURES, 0.0), np.zeros_like(token_V)
    sum_N = np.zeros(len(compared.target_N))
    for fold in range(_FOLDS):
        others = every.group_N % _FOLDS != fold
        own = compared.group_N % _FOLDS == fold
        if not others.any() or not own.any():
            continue
        part = _Reached(
            group_N=every.group_N[others],
            ids_NP=every.ids_NP[others],
            log_probs_NP=every.log_probs_NP[others],
            target_N=every.target_N[others],
        )
        sum_N[own] = _token_weights(part, len(token_V))[compared.ids_NP[own]].sum(axis=1)
    features_NF = first_token_features(compared.ids_NP, compared.log_probs_NP, unigrams_V)
    features_NF = _centred(np.concatenate((features_NF, sum_N[:, None]), axis=1), compared.group_N)
    scale_F = np.maximum(np.sqrt((features_NF**2).mean(axis=0)), _SMALLEST_SCALE)
    standard_NF = features_NF / scale_F
    gram_FF = standard_NF.T @ standard_NF + _FEATURE_RIDGE * len(features_NF) * np.eye(len(scale_F))
    weights_F = np.linalg.solve(gram_FF, standard_NF.T @ compared.target_N) / scale_F
    return dict(zip(TOKEN_FEATURES, weights_F[:-1].tolist(), strict=True)), weights_F[-1] * token_V


def _centred(values_NF: FloatArray, group_N: NDArray[np.int64]) -> FloatArray:
    """Return values less their mean over the rows of the same sample."""
    size = int(group_N.max()) + 1
    sums = np.zeros((size, values_NF.shape[1]))
    np.add.at(sums, group_N, values_NF)
    count = np.bincount(group_N, minlength=size)
    centred: FloatArray = values_NF - sums[group_N] / count[group_N][:, None]
    return centred
