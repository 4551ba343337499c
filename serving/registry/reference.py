"""Reference of a version: requests and samples as they were at its training, with which live traffic is compared."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

FORMAT: Final = 1
"""Version of the document, in its field `format`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """Mean and standard deviation of a figure.

    Raises:
        ValueError: a value is not finite, or the standard deviation is negative.
    """

    mean: float
    sd: float

    def __post_init__(self) -> None:
        if not (math.isfinite(self.mean) and math.isfinite(self.sd) and self.sd >= 0):
            raise ValueError(f"a mean and a standard deviation from 0 must be finite, got {self.mean} and {self.sd}")


@dataclass(frozen=True, slots=True, kw_only=True)
class TrafficReference:
    """Figures of requests and samples that are taken for usual.

    Raises:
        ValueError: a share is not from 0 to 1.
    """

    genres: Mapping[str, float]
    """Share of the requests that have each genre label; they sum to more than 1. Without any, none is watched."""
    unknown: float
    """Share of the genres for which the model has no label."""
    num_tokens: Spread
    """Length of a sample in tokens, its end included."""
    token_log_prob: Spread
    """Mean log-probability of a token of a sample, in nats, at temperature 1."""
    topics: tuple[float, ...]
    """Mean share of each topic in a sample."""
    num_samples: int
    """Samples from which the last three figures come: of few, the means are uncertain."""

    def __post_init__(self) -> None:
        shares = [*self.genres.values(), self.unknown, *self.topics]
        if not all(0 <= share <= 1 for share in shares):
            raise ValueError(f"shares must be from 0 to 1, got {shares}")
        if self.num_samples < 0:
            raise ValueError(f"num_samples must be from 0 to any number, got {self.num_samples}")


def parse_reference(text: str | bytes) -> TrafficReference:
    """Read the reference.json of an archive (`handlers.model.reference`); fields that are not needed are left out.

    Raises:
        ValueError: the text is not a reference, or has another format.
    """
    try:
        document: dict[str, Any] = json.loads(text)
        if document["format"] != FORMAT:
            raise ValueError(f"its format is {document['format']!r}, and this release reads {FORMAT}")
        return TrafficReference(
            genres={str(label): float(share) for label, share in document["genres"].items()},
            unknown=float(document["unknown"]),
            num_tokens=_spread(document["num_tokens"]),
            token_log_prob=_spread(document["token_log_prob"]),
            topics=tuple(float(share) for share in document["topics"]),
            num_samples=int(document["num_samples"]),
        )
    except (KeyError, TypeError, AttributeError, RecursionError) as cause:
        raise ValueError(f"it cannot be read: {cause!r}") from cause


def _spread(document: Mapping[str, Any]) -> Spread:
    return Spread(mean=float(document["mean"]), sd=float(document["sd"]))
