"""Value function: the probability that a curator accepts a sentence, learned from verdicts.

A Bayesian logistic regression with a normal prior, whose variance is chosen by cross-validation. Its rows are the
judged samples with their verdicts, and for each edit a pair: the features of the edited text less those of the sample,
which the curator preferred (Bradley and Terry 1952).

Shapes: N texts, F features, W words, R directions that the verdicts tell something of.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from sklearn.linear_model import LogisticRegression
from torch import Tensor

from handlers.model.bundle import Bundle
from handlers.model.value import SentenceValue
from training.cvae.encoder_file import load_cvae
from training.errors import NotLearnedError, SettingError
from training.files import atomic_path
from training.verdicts.features import FloatArray, Scales, TextFeatures, masked
from training.verdicts.rows import Verdicts

VALUE_FILE: Final = "value.safetensors"
PESSIMISM: Final = 1.0
"""Standard deviations of its posterior by which the reward is below the mean."""
_STRENGTHS: Final = (0.01, 0.03, 0.1, 0.3, 1.0)
"""Variances of the prior of a weight that are tried."""
_FOLDS: Final = 5
_ONE_SIDED_95: Final = 1.645
"""Standard errors by which the value function must be better than a constant."""
_CONSTANT: Final = 10.0
"""Value of the feature that carries the constant: so large that the penalty hardly holds the constant back."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ValueScores:
    """Scores of a value function by cross-validation: each verdict is predicted from the others' folds."""

    nats: float
    """Mean cross-entropy of a verdict."""
    constant: float
    """Cross-entropy of the share of accepted samples, in nats."""
    error: float
    """Standard error of the difference between the two."""
    auc: float
    """Probability that an accepted sample has a higher value than a rejected one."""

    @property
    def explained(self) -> float:
        """Share of the constant's cross-entropy that is removed; at most 1."""
        return 1 - self.nats / max(self.constant, 1e-9)


@dataclass(frozen=True, slots=True, kw_only=True)
class Weights:
    """Posterior of a regression's weights, N(mean, strength (1 - known' known)), with the constant as the last one."""

    mean_F: FloatArray
    strength: float
    """Variance of a weight before the verdicts."""
    known_RF: FloatArray
    """Directions that the verdicts say something about, each as long as the share of the variance's root it removes."""


class ValueFunction:
    """Probability that a curator accepts each text.

    Args:
        features: features of texts.
        weights: posterior of their weights.
    """

    def __init__(self, features: TextFeatures, weights: Weights) -> None:
        self._features, self._weights = features, weights

    def log_odds(self, texts: Sequence[str]) -> FloatArray:
        """Return the log odds of acceptance of texts with placeholders: [N]."""
        odds_N: FloatArray = self._vectors(texts) @ self._weights.mean_F
        return odds_N

    def values(self, texts: Sequence[str]) -> list[float]:
        """Return the probability of acceptance of texts with placeholders."""
        return [float(value) for value in 1 / (1 + np.exp(-self.log_odds(texts)))]

    def lower_log_odds(self, texts: Sequence[str], *, deviations: float = PESSIMISM) -> FloatArray:
        """Return log odds less some standard deviations of their posterior: [N].

        Sentences unlike the judged ones are uncertain. A generator that follows the mean alone finds those of them that
        it is wrong about.
        """
        vectors_NF = self._vectors(texts)
        known_N = ((vectors_NF @ self._weights.known_RF.T) ** 2).sum(axis=1)
        variance_N = self._weights.strength * ((vectors_NF**2).sum(axis=1) - known_N)
        odds_N: FloatArray = vectors_NF @ self._weights.mean_F - deviations * np.sqrt(np.maximum(variance_N, 0.0))
        return odds_N

    def __call__(self, texts: Sequence[str]) -> Tensor:
        """Return the probability of acceptance of texts with placeholders by the lower log odds, float32 [N]."""
        return torch.sigmoid(torch.from_numpy(self.lower_log_odds(texts))).float()

    def _vectors(self, texts: Sequence[str]) -> FloatArray:
        return _with_constant(self._features.vectors(texts), _CONSTANT)

    def served(self) -> SentenceValue:
        """Return the log odds as a worker computes them, for an archive: without the uncertainty of the weights."""
        weights_F = self._weights.mean_F
        return self._features.served(weights_F[:-1], _CONSTANT * float(weights_F[-1]))

    def save(self, folder: Path) -> None:
        """Write it beside the bundle of its model, whose encoder and topics it needs; archives leave it out."""
        scales = self._features.scales
        tensors = {
            "weights": torch.from_numpy(self._weights.mean_F),
            "strength": torch.tensor([self._weights.strength], dtype=torch.float64),
            "known": torch.from_numpy(self._weights.known_RF),
            "rarity": torch.from_numpy(scales.rarity_W),
            "mean": torch.from_numpy(scales.mean_F),
            "scale": torch.from_numpy(scales.scale_F),
        }
        with atomic_path(folder / VALUE_FILE) as partial:
            partial.write_bytes(save(tensors, metadata={"words": json.dumps(list(scales.words))}))

    @classmethod
    def load(cls, folder: Path) -> ValueFunction:
        """Read a value function from the folder of a bundle.

        Raises:
            SettingError: the folder has none, or it does not fit the bundle.
            BundleError: the folder is not a bundle with its encoder.
        """
        bundle = Bundle.load(folder)
        try:
            with safe_open(folder / VALUE_FILE, framework="pt") as opened:
                words = json.loads((opened.metadata() or {})["words"])
                tensors = {name: opened.get_tensor(name).numpy() for name in opened.keys()}  # noqa: SIM118 - not a mapping
            scales = Scales(
                words={word: column for column, word in enumerate(words)},
                rarity_W=tensors["rarity"],
                mean_F=tensors["mean"],
                scale_F=tensors["scale"],
            )
            model = load_cvae(folder, bundle)
            features = TextFeatures(model, bundle.vocabulary, bundle.topics, scales)
            strength, known_RF = float(tensors["strength"][0]), tensors["known"]
            weights = Weights(mean_F=tensors["weights"], strength=strength, known_RF=known_RF)
        except (OSError, SafetensorError, KeyError, ValueError) as cause:
            raise SettingError(
                f"{folder} holds no value function ({type(cause).__name__}: {cause}); give a version that was trained "
                "with --verdicts"
            ) from cause
        if len(weights.mean_F) != len(features) + 1:
            raise SettingError(
                f"{folder / VALUE_FILE} is of another model: it has {len(weights.mean_F) - 1} weights, and there are "
                f"{len(features)} features"
            )
        return cls(features, weights)


def fit_value(features: TextFeatures, verdicts: Verdicts, *, seed: int) -> tuple[ValueFunction, ValueScores]:
    """Fit a value function to verdicts.

    Args:
        features: features of texts.
        verdicts: verdicts of both kinds.
        seed: seed of the folds.

    Raises:
        NotLearnedError: the verdicts are predicted no better than by the share of accepted samples.
    """
    examples = _Examples.of(features, verdicts)
    tried = [(examples.held_out(strength, seed=seed), strength) for strength in _STRENGTHS]
    scores, strength = min(tried, key=lambda each: each[0].nats)
    if not scores.nats + _ONE_SIDED_95 * scores.error < scores.constant:
        raise NotLearnedError(
            f"the value function ({scores.nats:.3f} nats for a held-out verdict, area {scores.auc:.2f}) is not better "
            f"than a constant ({scores.constant:.3f}) by more than chance: {len(verdicts.rows)} verdicts do not show "
            "what is accepted. Judge more samples, or train without --verdicts"
        )
    return ValueFunction(features, examples.posterior(strength)), scores


@dataclass(frozen=True, slots=True, kw_only=True)
class _Examples:
    """Rows of the regression; the last feature carries the constant."""

    samples_NF: FloatArray
    accepted_N: FloatArray
    pairs_NF: FloatArray
    """Features of the edited text less those of the sample; zeros where there is no edit."""

    @classmethod
    def of(cls, features: TextFeatures, verdicts: Verdicts) -> _Examples:
        def vectors(texts: Sequence[str | None]) -> FloatArray:
            given = [
                masked(text or row.text, artist=row.artist, title=row.title)
                for text, row in zip(texts, verdicts.rows, strict=True)
            ]
            return features.vectors(given)

        samples_NF = vectors([row.text for row in verdicts.rows])
        pairs_NF = vectors([row.edited_text for row in verdicts.rows]) - samples_NF
        return cls(
            samples_NF=_with_constant(samples_NF, _CONSTANT),
            accepted_N=np.array([float(row.accepted) for row in verdicts.rows]),
            pairs_NF=_with_constant(pairs_NF, 0.0),
        )

    def posterior(self, strength: float) -> Weights:
        """Fit the weights to all rows, with their uncertainty (Laplace's approximation)."""
        mean_F = self.fit(strength, np.arange(len(self.accepted_N)))
        edited_NF = self.pairs_NF[np.abs(self.pairs_NF).sum(axis=1) > 0]
        inputs_NF = np.concatenate((self.samples_NF, edited_NF))
        likely_N = 1 / (1 + np.exp(-inputs_NF @ mean_F))
        _, sizes_R, directions_RF = np.linalg.svd(
            np.sqrt(likely_N * (1 - likely_N))[:, None] * inputs_NF, full_matrices=False
        )
        precision_R = strength * sizes_R**2
        known_RF = np.sqrt(precision_R / (1 + precision_R))[:, None] * directions_RF
        return Weights(mean_F=mean_F, strength=strength, known_RF=np.ascontiguousarray(known_RF))

    def fit(self, strength: float, chosen: np.ndarray) -> FloatArray:
        """Fit the weights to some rows: [F + 1]."""
        edited = chosen[np.abs(self.pairs_NF[chosen]).sum(axis=1) > 0]
        # Each pair in both directions, with half a weight: the regression needs both kinds of labels.
        inputs = np.concatenate((self.samples_NF[chosen], self.pairs_NF[edited], -self.pairs_NF[edited]))
        labels = np.concatenate((self.accepted_N[chosen], np.ones(len(edited)), np.zeros(len(edited))))
        weights = np.concatenate((np.ones(len(chosen)), np.full(2 * len(edited), 0.5)))
        model = LogisticRegression(C=strength, fit_intercept=False, solver="lbfgs", max_iter=500)
        model.fit(inputs, labels, sample_weight=weights)
        found: FloatArray = model.coef_[0]
        return found

    def held_out(self, strength: float, *, seed: int) -> ValueScores:
        """Predict each verdict from the other folds."""
        count = len(self.accepted_N)
        folds_N = _folds(self.accepted_N, seed=seed)
        odds_N, constant_N = np.zeros(count), np.zeros(count)
        for fold in range(_FOLDS):
            train, test = np.flatnonzero(folds_N != fold), np.flatnonzero(folds_N == fold)
            odds_N[test] = self.samples_NF[test] @ self.fit(strength, train)
            constant_N[test] = (self.accepted_N[train].sum() + 0.5) / (len(train) + 1)
        signs_N = 2 * self.accepted_N - 1
        likely_N = np.where(self.accepted_N > 0, constant_N, 1 - constant_N)
        nats_N, constant_nats_N = np.logaddexp(0, -signs_N * odds_N), -np.log(likely_N)
        return ValueScores(
            nats=float(nats_N.mean()),
            constant=float(constant_nats_N.mean()),
            error=float((nats_N - constant_nats_N).std(ddof=1) / np.sqrt(count)),
            auc=_auc(odds_N, self.accepted_N > 0),
        )


def _with_constant(vectors_NF: FloatArray, value: float) -> FloatArray:
    return np.concatenate((vectors_NF, np.full((len(vectors_NF), 1), value)), axis=1)


def _folds(accepted_N: FloatArray, *, seed: int) -> np.ndarray:
    """Deal rows out to folds, each kind of verdict evenly."""
    generator = np.random.default_rng(seed)
    folds_N = np.zeros(len(accepted_N), dtype=np.int64)
    for kind in (0.0, 1.0):
        rows = generator.permutation(np.flatnonzero(accepted_N == kind))
        folds_N[rows] = np.arange(len(rows)) % _FOLDS
    return folds_N


def _auc(values_N: FloatArray, positive_N: np.ndarray) -> float:
    differences = values_N[positive_N][:, None] - values_N[~positive_N][None, :]
    return float((differences > 0).mean() + 0.5 * (differences == 0).mean())
