"""Simulated traffic of one version, as it was at its training and otherwise."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field

from handlers.contract import CommentaryRequest, CommentaryResponse, ModelIdentity, Sample
from handlers.reference import Distribution, Reference

LABELS = tuple(f"label {number}" for number in range(60))
_WEIGHTS = tuple(1 / (number + 1.5) for number in range(60))
TOPICS = ("sound", "news", "lyrics", "live")
REFERENCE = Reference(
    # A request has 1 to 3 genres, 2 on average; of twice the same label the second does not count.
    genres={label: min(1.0, 2 * weight / sum(_WEIGHTS)) for label, weight in zip(LABELS, _WEIGHTS, strict=True)},
    unknown=0.03,
    num_tokens=Distribution(mean=24.0, sd=8.0),
    token_log_prob=Distribution(mean=-2.2, sd=0.4),
    topics=(0.4, 0.3, 0.2, 0.1),
    num_samples=250,
)


@dataclass
class Traffic:
    """Requests and answers, drawn by a seed; each field is how they are."""

    seed: int
    unknown: float = 0.03
    unseen: float = 0.0
    """Share of the requests all of whose genres are unknown to the model."""
    tokens: float = 24.0
    log_prob: float = -2.2
    topics: tuple[float, ...] = (0.4, 0.3, 0.2, 0.1)
    flat: bool = False
    """Whether all labels are equally frequent."""
    num_samples: int = 3
    draw: random.Random = field(init=False)

    def __post_init__(self) -> None:
        self.draw = random.Random(self.seed)

    def pairs(self, number: int) -> Iterator[tuple[CommentaryRequest, CommentaryResponse]]:
        return (self.pair() for _ in range(number))

    def pair(self) -> tuple[CommentaryRequest, CommentaryResponse]:
        draw = self.draw
        count = draw.choice((1, 2, 3))
        is_unseen = draw.random() < self.unseen
        unknown = [n for n in range(count) if is_unseen or draw.random() < self.unknown]
        known = draw.choices(LABELS, None if self.flat else _WEIGHTS, k=count - len(unknown))
        # Samples of one song resemble each other.
        song_length, song_log_prob = draw.gauss(0, 5), draw.gauss(0, 0.25)
        names = tuple(f"unknown {n}" for n in unknown)
        return CommentaryRequest(genres=(*known, *names)), CommentaryResponse(
            samples=tuple(self._sample(song_length, song_log_prob) for _ in range(self.num_samples)),
            model=ModelIdentity(name="lcgan", version="2"),
            genres_used=tuple(dict.fromkeys(known)),
            genres_unknown=names,
        )

    def _sample(self, song_length: float, song_log_prob: float) -> Sample:
        draw = self.draw
        tokens = max(3, round(self.tokens + song_length + draw.gauss(0, 6.2)))
        log_prob = self.log_prob + song_log_prob + draw.gauss(0, 0.31)
        parts = [draw.gammavariate(6 * share, 1) for share in self.topics]
        return Sample(
            text="x",
            token_count=tokens,
            log_prob=log_prob * tokens,
            topics=tuple(part / sum(parts) for part in parts),
            seed=1,
        )
