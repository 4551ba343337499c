"""A walk through z between two sentences: encode both, go from one mean to the other, write what is on the way.

Shapes: S steps, Z thought vector, C candidates per step.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import torch
from torch import Tensor

from handlers.decoding.engine import Engine, SequenceSpec
from handlers.model.bundle import Bundle
from training.cvae.batches import EncodedSentences
from training.cvae.encoder_file import load_cvae
from training.cvae.model import Cvae
from training.errors import SettingError
from training.evaluation.models import LoadedModel

_TEMPERATURE = 0.6
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
    distance: float
    """From the step's z to the posterior mean of what was written there."""


def walk(
    model: LoadedModel,
    first: str,
    last: str,
    *,
    steps: int = 7,
    genres: Sequence[str] = (),
    path: Path = Path.SPHERICAL,
    candidates: int = 32,
) -> list[Point]:
    """Write a sentence at each step between two.

    At each step some candidates are decoded, one greedily and the others at a low temperature; the one is kept whose
    own encoding comes nearest to where the step stands. (The likeliest one says "The song is emotional" at most steps.)
    Every step has the same random numbers, so steps differ by z alone, and the same call gives the same walk.

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
    cvae = load_cvae(model.directory, bundle)
    ends_2Z = _means(cvae, bundle, (" ".join(first.split()), " ".join(last.split())))
    z_SZ = path.points(ends_2Z[0], ends_2Z[1], steps)
    rows = [
        SequenceSpec(
            genres=tuple(bundle.genres.indices(used)),
            seed=candidate,
            temperature=0.0 if candidate == 0 else _TEMPERATURE,
            max_tokens=_MAX_TOKENS,
            topic=bundle.topics.desired,
        )
        for _ in range(steps)
        for candidate in range(candidates)
    ]
    wanted_CZ = z_SZ.repeat_interleave(candidates, dim=0)
    decoded = Engine(bundle).decode(rows, wanted_CZ)
    texts = [bundle.vocabulary.decode(each.ids) for each in decoded]
    distances = (_means(cvae, bundle, texts) - wanted_CZ).norm(dim=1).tolist()
    points = []
    for step in range(steps):
        of_step = range(step * candidates, (step + 1) * candidates)
        best = min(of_step, key=lambda index: (not decoded[index].finished, distances[index]))
        points.append(Point(at=step / (steps - 1), text=texts[best], distance=distances[best]))
    return points


@torch.no_grad()
def _means(cvae: Cvae, bundle: Bundle, sentences: Sequence[str]) -> Tensor:
    """The posterior mean of each sentence: [N, Z]."""
    encoded = EncodedSentences(sentences, [()] * len(sentences), bundle.vocabulary, bundle.genres)
    return cvae.encode(encoded.batch(list(range(len(sentences))))).mu
