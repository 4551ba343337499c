"""Reference of a version: requests and samples as they were at its training, with which live traffic is compared.

The worker does not use it. The gateway reads it from the archive and looks for drift (`serving.traffic.drift`).
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final, Self

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
            raise ValueError(f"a distribution needs a finite mean and a standard deviation from 0, got {self}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """Figures of the sentences that a version learned from, and of samples that it would return for their genres.

    Raises:
        ValueError: a share is not from 0 to 1.
    """

    genres: Mapping[str, float]
    """Share of the training sentences that have each of the most frequent genre labels; shares sum to more than 1."""
    unknown: float
    """Share of the training sentences' genres for which the model has no label."""
    num_tokens: Distribution
    """Length of a sample in tokens, its end included."""
    token_log_prob: Distribution
    """Mean log-probability of a token of a sample, in nats, at temperature 1."""
    topics: tuple[float, ...]
    """Mean share of each topic in a sample."""
    copies: float
    """Share of the samples that contain a long run of words of a training sentence."""
    num_samples: int
    """Samples from which the figures come."""

    def __post_init__(self) -> None:
        shares = [*self.genres.values(), self.unknown, *self.topics, self.copies]
        if not all(0 <= share <= 1 for share in shares):
            raise ValueError(f"shares must be from 0 to 1, got {shares}")

    def to_json(self) -> str:
        """Return the text of reference.json."""
        document = {"format": FORMAT, **asdict(self)}
        return json.dumps(document, indent=2, sort_keys=True, ensure_ascii=False) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read the text of a reference.json; fields that this code does not know are left out.

        Raises:
            ValueError: the text is not a reference, or has another format.
        """
        try:
            document: dict[str, Any] = json.loads(text)
            if document["format"] != FORMAT:
                raise ValueError(f"reference.json has format {document['format']}, this code reads {FORMAT}")
            return cls(
                genres={str(label): float(share) for label, share in document["genres"].items()},
                unknown=float(document["unknown"]),
                num_tokens=Distribution(**document["num_tokens"]),
                token_log_prob=Distribution(**document["token_log_prob"]),
                topics=tuple(float(share) for share in document["topics"]),
                copies=float(document["copies"]),
                num_samples=int(document["num_samples"]),
            )
        except (KeyError, TypeError, AttributeError) as cause:
            raise ValueError(f"reference.json cannot be read: {cause!r}") from cause
