"""A walk through z between two sentences: encode both, go from one mean to the other, write what is on the way.

Shapes: S steps, Z thought vector, C candidates per step.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import torch
from torch import Tensor

from handlers.engine import Engine, Row
from training.batches import EncodedSentences
from training.encoder import load_cvae
from training.errors import SettingError
from training.evaluation.models import LoadedModel

_TEMPERATURE = 0.5
_MAX_TOKENS = 64


class Path(StrEnum):
    """How to go from one thought vector to another.

    In 32 dimensions nearly all of the prior's mass lies near one radius, and so do the vectors that the decoder has
    learned from; the straight line between two of them cuts through the empty middle, where sentences are bland. The
    arc keeps the radius: it turns from one direction to the other while the length goes evenly (White 2016). The
    straight line is what shows how bland the middle is.
    """

    SPHERICAL = "spherical"
    LINEAR = "linear"

    @classmethod
    def of(cls, name: str) -> Path:
        """The path of a name.

        Raises:
            SettingError: there is none.
        """
        try:
            return cls(name)
        except ValueError as cause:
            raise SettingError(f"there is no path {name!r}; choose one of {', '.join(cls)}") from cause

    def points(self, first_Z: Tensor, last_Z: Tensor, steps: int) -> Tensor:
        """Thought vectors from the first to the last, both included: [S, Z]."""
        at_S1 = torch.linspace(0, 1, steps).unsqueeze(1)
        straight_SZ = (1 - at_S1) * first_Z + at_S1 * last_Z
        lengths = first_Z.norm(), last_Z.norm()
        # From nowhere, to the same direction or to its opposite there is no arc, or no single one.
        if self is Path.LINEAR or min(lengths) == 0:
            return straight_SZ
        directions = first_Z / lengths[0], last_Z / lengths[1]
        angle = torch.arccos((directions[0] @ directions[1]).clamp(-1, 1))
        if angle < 1e-4 or angle > torch.pi - 1e-4:
            return straight_SZ
        turned_SZ: Tensor = (
            torch.sin((1 - at_S1) * angle) * directions[0] + torch.sin(at_S1 * angle) * directions[1]
        ) / torch.sin(angle)
        walked_SZ: Tensor = turned_SZ * ((1 - at_S1) * lengths[0] + at_S1 * lengths[1])
        return walked_SZ


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One step of a walk."""

    at: float
    """0 at the first sentence, 1 at the last."""
    text: str
    log_prob: float
    """Per token."""


def walk(
    model: LoadedModel,
    first: str,
    last: str,
    *,
    steps: int = 7,
    genres: Sequence[str] = (),
    path: Path = Path.SPHERICAL,
    candidates: int = 16,
) -> list[Point]:
    """Write a sentence at each step between two.

    At each step the likeliest per token of some candidates at a low temperature, the greedy one among them: greedy
    decoding alone likes to repeat itself. Every step has the same random numbers, so steps differ by z alone, and the
    same call gives the same walk.

    Args:
        model: whose folder holds the encoder.
        first: the sentence to start from; placeholders as in the corpus.
        last: the sentence to end at.
        steps: points of the walk, both ends included.
        genres: to decode with; unknown ones are backed off or left out as everywhere.
        path: between the two thought vectors.
        candidates: to choose from at each step.

    Raises:
        BundleError: the model's folder holds no encoder.
        SettingError: a sentence is empty, or there are fewer than two steps.
    """
    if steps < 2 or candidates < 1:
        raise SettingError(f"a walk has at least 2 steps and 1 candidate, got {steps} and {candidates}")
    if not (first.strip() and last.strip()):
        raise SettingError("a walk goes from one sentence to another, and one of them is empty")
    bundle = model.bundle
    used, _ = bundle.genres.resolve(genres)
    ends_2Z = _means(model, (" ".join(first.split()), " ".join(last.split())))
    z_SZ = path.points(ends_2Z[0], ends_2Z[1], steps)
    rows = [
        Row(
            genres=tuple(bundle.genres.indices(used)),
            seed=candidate,
            temperature=0.0 if candidate == 0 else _TEMPERATURE,
            max_tokens=_MAX_TOKENS,
            topic=bundle.topics.desired,
        )
        for _ in range(steps)
        for candidate in range(candidates)
    ]
    decoded = Engine(bundle).decode(rows, z_SZ.repeat_interleave(candidates, dim=0))
    points = []
    for step in range(steps):
        found = decoded[step * candidates : (step + 1) * candidates]
        best = max(found, key=lambda each: (each.finished, each.log_prob / max(each.token_count, 1)))
        points.append(
            Point(
                at=step / (steps - 1),
                text=bundle.vocabulary.decode(best.ids),
                log_prob=best.log_prob / max(best.token_count, 1),
            )
        )
    return points


@torch.no_grad()
def _means(model: LoadedModel, sentences: Sequence[str]) -> Tensor:
    """The posterior mean of each sentence: [2, Z]."""
    cvae = load_cvae(model.directory, model.bundle)
    encoded = EncodedSentences(sentences, [()] * len(sentences), model.bundle.vocabulary, model.bundle.genres)
    return cvae.encode(encoded.batch(list(range(len(sentences))))).mu
