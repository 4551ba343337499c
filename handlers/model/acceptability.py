"""Acceptability of a candidate: the score by which a worker chooses between candidates, and stops hopeless ones early.

A candidate has features (`Features`), each standardised by its mean and scale over the model's own candidates. The
score is their weighted sum. The weights are fitted on what readers accepted
(`training.packaging.score_weights`); a bundle carries its own, since means and scales are those of its model.

Shapes: V tokens of the vocabulary, R candidates, P their first tokens, F features of these, C checks.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Final, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]

FORMAT: Final = 1
"""Version of the JSON."""
_ROUNDING: Final = 1e-9


@dataclass(frozen=True, slots=True, kw_only=True)
class Features:
    """Features of a candidate."""

    mean_log_prob: float
    """Log-probability per token under the model itself, in nats. Likely sentences are fluent, and bland."""
    slor: float
    """Syntactic log-odds ratio: log-probability less the tokens' unigram log-probabilities, per token (Lau, Clark and
    Lappin 2017; Kann, Rothe and Filippova 2018). Rare words do not lower it."""
    least_likely: float
    """Log-probability of the least likely token, in nats (the minimum of Lau, Clark and Lappin 2017)."""
    second_least_likely: float
    """Log-probability of the second least likely token, in nats."""
    discriminator: float
    """Log odds that the sentence is real and not the model's (`handlers.model.discriminator`); 0 without one."""
    unseen_pairs: float
    """Share of the word pairs that no training sentence holds (`handlers.model.phrases`); 0 without a table."""
    unseen_triples: float
    """Share of the word triples that no training sentence holds; 0 without a table."""
    num_words: float
    """Number of words."""
    num_names: float
    """Number of runs of capitalised words behind the first word: names of people, places and works."""
    repeated_words: float
    """Number of content words that occurred before in the sentence."""
    num_placeholders: float
    """Number of the song's names in the sentence."""
    topic: float
    """Log share of the wanted topic (`handlers.model.topics`)."""
    genres: float
    """Log odds that the genres give the sentence, log p(x | z, a) - log p(x | z) in nats. They cost a second pass over
    the candidates, and are 0 where their weight is 0."""
    copies: float
    """Number of 8-grams of a training sentence, and 1 for a shorter copy of a whole one (`handlers.model.copies`); 0
    without a table."""


FEATURES: Final = tuple(each.name for each in fields(Features))
"""Names of the features."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenFeatures:
    """Features of a sentence, or of its first tokens, that follow from the tokens' probabilities alone."""

    mean_log_prob: float
    slor: float
    least_likely: float
    second_least_likely: float

    @classmethod
    def of(cls, ids: Sequence[int], log_probs: Sequence[float], unigram_log_probs: Sequence[float]) -> Self:
        """Return the features of some tokens.

        Sums are exact (`math.fsum`), so that they do not depend on how a batch adds up.

        Args:
            ids: tokens, with the end mark where it was drawn; at least one.
            log_probs: log-probability of each token under the model.
            unigram_log_probs: log-probability of each token of the vocabulary by its frequency.
        """
        log_prob = math.fsum(log_probs)
        unigrams = math.fsum(unigram_log_probs[number] for number in ids)
        least, second = sorted(log_probs)[:2] if len(log_probs) > 1 else (log_probs[0], log_probs[0])
        count = len(log_probs)
        return cls(
            mean_log_prob=log_prob / count,
            slor=(log_prob - unigrams) / count,
            least_likely=least,
            second_least_likely=second,
        )


TOKEN_FEATURES: Final = tuple(each.name for each in fields(TokenFeatures))
"""Names of the features that the first tokens of a sentence have as well."""


def first_token_features(ids_RP: IntArray, log_probs_RP: FloatArray, unigrams_V: FloatArray) -> FloatArray:
    """Return the `TOKEN_FEATURES` of the first tokens of some candidates, [R, F].

    Every number is computed for each candidate by itself, in the order of its tokens.

    Args:
        ids_RP: the first tokens.
        log_probs_RP: log-probability of each under the model.
        unigrams_V: log-probability of each token of the vocabulary by its frequency.
    """
    count = ids_RP.shape[1]
    # Column by column: a sum along an axis may add in an order that depends on the number of rows.
    log_prob_R, unigram_R = log_probs_RP[:, 0].copy(), unigrams_V[ids_RP[:, 0]]
    for place in range(1, count):
        log_prob_R += log_probs_RP[:, place]
        unigram_R += unigrams_V[ids_RP[:, place]]
    ascending_RP = np.sort(log_probs_RP, axis=1)
    least_R, second_R = ascending_RP[:, 0], ascending_RP[:, min(1, count - 1)]
    return np.stack((log_prob_R / count, (log_prob_R - unigram_R) / count, least_R, second_R), axis=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """Point of a decode at which hopeless candidates are abandoned."""

    after: int
    """Number of tokens that are drawn before the check."""
    keep: float
    """Share of a sample's candidates that may go on."""
    weights: Mapping[str, float]
    """Weight of each of `TOKEN_FEATURES` in the forecast of a candidate's score."""

    def __post_init__(self) -> None:
        if self.after < 1:
            raise ValueError(f"a check comes after at least 1 token, got {self.after}")
        if not 0 < self.keep <= 1:
            raise ValueError(f"a check keeps a share above 0 and at most 1, got {self.keep}")
        if set(self.weights) != set(TOKEN_FEATURES):
            raise ValueError(f"a check weighs {', '.join(TOKEN_FEATURES)}, got {', '.join(sorted(self.weights))}")

    def num_kept(self, num_candidates: int) -> int:
        """Return the number of candidates of a sample that may go on, at least one."""
        # A share such as 0.07 of 100 is a little more than 7 in binary.
        return max(1, math.ceil(self.keep * num_candidates - _ROUNDING))


@dataclass(frozen=True, slots=True, kw_only=True)
class Abandonment:
    """Rule by which candidates are abandoned; see `handlers.decoding.rivals`."""

    checks: tuple[Check, ...]
    unigrams_V: FloatArray = field(repr=False, compare=False)
    """Log-probability of each token of the vocabulary by its frequency."""
    tokens_CV: FloatArray | None = field(default=None, repr=False, compare=False)
    """Weight of each token before a check in the forecast; None where tokens count by their probabilities alone."""

    def __post_init__(self) -> None:
        if list(self.places) != sorted(set(self.places)):
            raise ValueError(f"checks must be in ascending order, each once, got {list(self.places)}")

    @property
    def places(self) -> tuple[int, ...]:
        """Numbers of tokens after which there is a check."""
        return tuple(check.after for check in self.checks)

    def forecasts(self, check: int, ids_RP: IntArray, log_probs_RP: FloatArray) -> list[float]:
        """Return the score that each candidate is likely to have, up to a constant, given its first tokens.

        Args:
            check: number of the check.
            ids_RP: the tokens before it.
            log_probs_RP: log-probability of each under the model.
        """
        features_RF = first_token_features(ids_RP, log_probs_RP, self.unigrams_V)
        forecast_R = np.zeros(len(features_RF))
        for column, name in enumerate(TOKEN_FEATURES):
            forecast_R += self.checks[check].weights[name] * features_RF[:, column]
        if self.tokens_CV is not None:
            for place in range(ids_RP.shape[1]):
                forecast_R += self.tokens_CV[check][ids_RP[:, place]]
        forecasts: list[float] = forecast_R.tolist()
        return forecasts


@dataclass(frozen=True, slots=True, kw_only=True)
class Acceptability:
    """Score of candidates of one model."""

    weights: Mapping[str, float]
    """Weight of each of `FEATURES`; 0 for one that is absent."""
    means: Mapping[str, float]
    """Mean of each feature over the model's own candidates."""
    scales: Mapping[str, float]
    """Standard deviation of each feature over the model's own candidates; above 0."""
    opening_penalty: float
    """Part of the score that a candidate loses which opens like an earlier sample of its request."""
    unigram_log_probs_V: Tensor = field(repr=False, compare=False)
    """Log-probability of each token by its frequency in the training sentences, end marks included; float32."""
    checks: tuple[Check, ...] = ()
    """Points at which hopeless candidates are abandoned."""
    version: int = 0
    """Version of the weights."""
    unigram_log_probs: tuple[float, ...] = field(init=False, repr=False, compare=False)
    """The unigram log-probabilities as numbers, which are read faster one by one."""
    unigrams_V: FloatArray = field(init=False, repr=False, compare=False)
    """The unigram log-probabilities as an array, for many tokens at once."""

    def __post_init__(self) -> None:
        for name in ("weights", "means", "scales"):
            values = getattr(self, name)
            if set(values) != set(FEATURES):
                wrong = sorted(set(values) ^ set(FEATURES))
                raise ValueError(f"{name} of the acceptability are for {', '.join(FEATURES)}; check {', '.join(wrong)}")
            if not all(math.isfinite(value) for value in values.values()):
                raise ValueError(f"{name} of the acceptability must be finite, got {dict(values)}")
        if not min(self.scales.values()) > 0:
            raise ValueError(f"scales of the acceptability must be above 0, got {dict(self.scales)}")
        if self.unigram_log_probs_V.dim() != 1 or self.unigram_log_probs_V.dtype != torch.float32:
            raise ValueError("unigram log-probabilities must be 1-d torch.float32")
        object.__setattr__(self, "unigram_log_probs", tuple(self.unigram_log_probs_V.tolist()))
        object.__setattr__(self, "unigrams_V", np.array(self.unigram_log_probs))

    @classmethod
    def uncalibrated(cls, weights: Mapping[str, float], unigram_log_probs_V: Tensor) -> Self:
        """Return a score of features as they are, without checks, to make the features that a calibration needs."""
        return cls(
            weights=weights,
            means=dict.fromkeys(FEATURES, 0.0),
            scales=dict.fromkeys(FEATURES, 1.0),
            opening_penalty=0.0,
            unigram_log_probs_V=unigram_log_probs_V,
        )

    @property
    def abandonment(self) -> Abandonment | None:
        """Rule by which candidates are abandoned; None without checks."""
        return Abandonment(checks=self.checks, unigrams_V=self.unigrams_V) if self.checks else None

    def uses(self, feature: str) -> bool:
        """Return whether a feature has a weight."""
        return self.weights[feature] != 0

    def score(self, features: Features) -> float:
        """Return the weighted sum of the standardised features, rounded once."""
        return math.fsum(
            self.weights[name] * (getattr(features, name) - self.means[name]) / self.scales[name] for name in FEATURES
        )

    def to_json(self) -> str:
        """Return the text of acceptability.json: all but the unigram log-probabilities."""
        document: dict[str, Any] = {
            "format": FORMAT,
            "version": self.version,
            "features": {
                name: {"weight": self.weights[name], "mean": self.means[name], "scale": self.scales[name]}
                for name in FEATURES
            },
            "opening_penalty": self.opening_penalty,
            "checks": [asdict(check) for check in self.checks],
        }
        return json.dumps(document, indent=2) + "\n"

    @classmethod
    def from_json(cls, text: str, unigram_log_probs_V: Tensor) -> Self:
        """Read the text of an acceptability.json.

        Raises:
            ValueError: the text is not JSON, has another format, or a value is out of range.
            KeyError: a field is missing.
            TypeError: a field has another type.
        """
        document = json.loads(text)
        if document["format"] != FORMAT:
            raise ValueError(f"acceptability.json has format {document['format']}, this code reads {FORMAT}")
        features = document["features"]
        return cls(
            version=document["version"],
            weights={name: float(each["weight"]) for name, each in features.items()},
            means={name: float(each["mean"]) for name, each in features.items()},
            scales={name: float(each["scale"]) for name, each in features.items()},
            opening_penalty=float(document["opening_penalty"]),
            unigram_log_probs_V=unigram_log_probs_V,
            checks=tuple(Check(**check) for check in document["checks"]),
        )
