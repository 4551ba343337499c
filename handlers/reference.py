"""Reference of a version: requests and samples as they were at its training, with which live traffic is compared.

Needs only the standard library. A training writes it into the archive; the worker does not use it.
The gateway reads it and looks for drift (`serving.traffic.drift`).
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final, Self

REFERENCE: Final = "reference.json"
"""Name of the file in an archive."""
FORMAT: Final = 1
"""Version of the document, in its field `format`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Distribution:
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
class Reference:
    """Figures of requests and samples that are taken for usual.

    In an archive they are those of the sentences that the version learned from, and of samples that it would return for
    their genres.

    Raises:
        ValueError: a share is not from 0 to 1, or the number of samples is negative.
    """

    genres: Mapping[str, float]
    """Share of the sentences or requests that have each genre label; they sum to more than 1. Without any, none is
    watched. A training keeps the most frequent labels."""
    unknown: float
    """Share of the genres for which the model has no label."""
    num_tokens: Distribution
    """Length of a sample in tokens, its end included."""
    token_log_prob: Distribution
    """Mean log-probability of a token of a sample, in nats, at temperature 1."""
    topics: tuple[float, ...]
    """Mean share of each topic in a sample."""
    copies: float | None = None
    """Share of the samples that contain a long run of words of a training sentence; None if it is not known."""
    num_samples: int
    """Samples from which the last four figures come: of few, the means are uncertain."""

    def __post_init__(self) -> None:
        shares = [*self.genres.values(), self.unknown, *self.topics, *([] if self.copies is None else [self.copies])]
        if not all(0 <= share <= 1 for share in shares):
            raise ValueError(f"shares must be from 0 to 1, got {shares}")
        if self.num_samples < 0:
            raise ValueError(f"num_samples must be 0 or more, got {self.num_samples}")

    def to_json(self) -> str:
        """Return the text of reference.json."""
        document = {"format": FORMAT, **asdict(self)}
        return json.dumps(document, indent=2, sort_keys=True, ensure_ascii=False) + "\n"

    @classmethod
    def from_json(cls, text: str | bytes) -> Self:
        """Read the text of a reference.json; fields that this code does not know are left out.

        Raises:
            ValueError: the text is not a reference, or has another format.
        """
        try:
            document: dict[str, Any] = json.loads(text)
            if document["format"] != FORMAT:
                raise ValueError(f"the reference's format is {document['format']!r}, and this release reads {FORMAT}")
            copies = document.get("copies")
            return cls(
                genres={str(label): float(share) for label, share in document["genres"].items()},
                unknown=float(document["unknown"]),
                num_tokens=_distribution(document["num_tokens"]),
                token_log_prob=_distribution(document["token_log_prob"]),
                topics=tuple(float(share) for share in document["topics"]),
                copies=None if copies is None else float(copies),
                num_samples=int(document["num_samples"]),
            )
        except (KeyError, TypeError, AttributeError, RecursionError) as cause:
            raise ValueError(f"the reference cannot be read: {cause!r}") from cause


def _distribution(document: Mapping[str, Any]) -> Distribution:
    return Distribution(mean=float(document["mean"]), sd=float(document["sd"]))
