"""Value function: the probability that a curator accepts a sentence, learned from verdicts.

A logistic regression with a ridge penalty, whose strength is chosen by cross-validation. Its rows are the judged
samples with their verdicts, and for each edit a pair: the features of the edited text less those of the sample, which
the curator preferred (Bradley and Terry 1952).

Shapes: N texts, F features.
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
from training.cvae.encoder_file import load_cvae
from training.errors import NotLearnedError, SettingError
from training.files import atomic_path
from training.verdicts.features import FloatArray, Scales, TextFeatures, masked
from training.verdicts.rows import Verdicts

VALUE_FILE: Final = "value.safetensors"
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


class ValueFunction:
    """Probability that a curator accepts each text.

    Args:
        features: features of texts.
        weights_F: weight of each feature.
        constant: log odds of a sentence whose features are all 0.
    """

    def __init__(self, features: TextFeatures, weights_F: FloatArray, constant: float) -> None:
        self._features, self.weights_F, self.constant = features, weights_F, constant

    def log_odds(self, texts: Sequence[str]) -> FloatArray:
        """Return the log odds of acceptance of texts with placeholders: [N]."""
        odds_N: FloatArray = self._features.vectors(texts) @ self.weights_F + self.constant
        return odds_N

    def __call__(self, texts: Sequence[str]) -> Tensor:
        """Return the probability of acceptance of texts with placeholders, float32 [N]."""
        return torch.sigmoid(torch.from_numpy(self.log_odds(texts))).float()

    def save(self, folder: Path) -> None:
        """Write it beside the bundle of its model, whose encoder and topics it needs; archives leave it out."""
        scales = self._features.scales
        tensors = {
            "weights": torch.from_numpy(self.weights_F),
            "constant": torch.tensor([self.constant], dtype=torch.float64),
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
            weights_F, constant = tensors["weights"], float(tensors["constant"][0])
        except (OSError, SafetensorError, KeyError, ValueError) as cause:
            raise SettingError(
                f"{folder} holds no value function ({type(cause).__name__}: {cause}); give a version that was trained "
                "with --verdicts"
            ) from cause
        if len(weights_F) != len(features):
            raise SettingError(
                f"{folder / VALUE_FILE} is of another model: {len(weights_F)} weights for {len(features)} features"
            )
        return cls(features, weights_F, constant)


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
    weights = examples.fit(strength, np.arange(len(verdicts.rows)))
    return ValueFunction(features, weights[:-1], float(weights[-1]) * _CONSTANT), scores


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
        constant_N1 = np.full((len(samples_NF), 1), _CONSTANT)
        return cls(
            samples_NF=np.concatenate((samples_NF, constant_N1), axis=1),
            accepted_N=np.array([float(row.accepted) for row in verdicts.rows]),
            pairs_NF=np.concatenate((pairs_NF, 0 * constant_N1), axis=1),
        )

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
