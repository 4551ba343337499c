"""Interpolation in the latent space between two sentences: encode both, decode points between their means.

Shapes: S steps, Z latent vector, C all candidates, 1 one, 2 both ends, N sentences.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import torch
from torch import Tensor

from handlers.contract import SamplingParams
from handlers.decoding.engine import Engine, SequenceSpec
from handlers.model.bundle import Bundle
from training.cvae.batches import EncodedSentences
from training.cvae.encoder_file import load_cvae
from training.cvae.model import Cvae
from training.errors import SettingError
from training.evaluation.models import LoadedModel

_TEMPERATURE = 0.6
_MAX_TOKENS = 64


class InterpolationPath(StrEnum):
    """Path from one latent vector to another.

    In 32 dimensions nearly all of the prior's mass lies near one radius, and so do the vectors that the decoder was
    trained on. The straight line between two of them crosses the empty middle, where sentences are bland. The spherical
    path keeps the radius: it rotates from one direction to the other while the length changes linearly (White 2016).
    """

    SPHERICAL = "spherical"
    LINEAR = "linear"

    @classmethod
    def of(cls, name: str) -> InterpolationPath:
        """Return the path of a name.

        Raises:
            SettingError: the name is unknown.
        """
        try:
            return cls(name)
        except ValueError as cause:
            raise SettingError(f"unknown path {name!r}; choose one of {', '.join(cls)}") from cause

    def points(self, first_Z: Tensor, last_Z: Tensor, steps: int) -> Tensor:
        """Return latent vectors from the first to the last, both included: [S, Z]."""
        at_S1 = torch.linspace(0, 1, steps).unsqueeze(1)
        straight_SZ = (1 - at_S1) * first_Z + at_S1 * last_Z
        lengths = first_Z.norm(), last_Z.norm()
        # A zero vector has no direction; equal or opposite directions have no arc, or no single one.
        if self is InterpolationPath.LINEAR or min(lengths) == 0:
            return straight_SZ
        directions = first_Z / lengths[0], last_Z / lengths[1]
        angle = torch.arccos((directions[0] @ directions[1]).clamp(-1, 1))
        if angle < 1e-4 or angle > torch.pi - 1e-4:
            return straight_SZ
        turned_SZ: Tensor = (
            torch.sin((1 - at_S1) * angle) * directions[0] + torch.sin(at_S1 * angle) * directions[1]
        ) / torch.sin(angle)
        scaled_SZ: Tensor = turned_SZ * ((1 - at_S1) * lengths[0] + at_S1 * lengths[1])
        return scaled_SZ


@dataclass(frozen=True, slots=True, kw_only=True)
class InterpolationPoint:
    """Point of an interpolation."""

    at: float
    """Position of the point: 0 at the first sentence, 1 at the last."""
    text: str
    distance: float
    """Distance of the point's z from the posterior mean of its text."""


def interpolate(
    model: LoadedModel,
    first: str,
    last: str,
    *,
    steps: int = 7,
    genres: Sequence[str] = (),
    path: InterpolationPath = InterpolationPath.SPHERICAL,
    candidates: int = 32,
) -> list[InterpolationPoint]:
    """Decode a sentence at each of several points between two sentences.

    At each point candidates are decoded, one greedily and the others at a low temperature, and the one whose encoding
    is nearest to the point is kept. (The likeliest one is "The song is emotional" at most points.) All points have the
    same random numbers, so they differ by z alone, and the same call gives the same result.

    Args:
        model: a model whose folder holds the encoder.
        first: the sentence to start from, with placeholders as in the corpus.
        last: the sentence to end at.
        steps: number of points, including both ends.
        genres: genres to decode with; unknown ones back off or are left out.
        path: path between the two latent vectors.
        candidates: number of candidates per point.

    Raises:
        BundleError: the model's folder has no encoder.
        SettingError: a sentence is empty, or there are too few steps or candidates.
    """
    if steps < 2 or candidates < 1:
        raise SettingError(f"an interpolation needs at least 2 steps and 1 candidate, got {steps} and {candidates}")
    if not (first.strip() and last.strip()):
        raise SettingError("an interpolation needs two sentences, and one of them is empty")
    bundle = model.bundle
    used, _ = bundle.genres.resolve(genres)
    cvae = load_cvae(model.directory, bundle)
    ends_2Z = _means(cvae, bundle, (" ".join(first.split()), " ".join(last.split())))
    z_SZ = path.points(ends_2Z[0], ends_2Z[1], steps)
    rows = [
        SequenceSpec(
            genres=tuple(bundle.genres.indices(used)),
            seed=candidate,
            sampling=SamplingParams(temperature=0.0 if candidate == 0 else _TEMPERATURE, max_tokens=_MAX_TOKENS),
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
        points.append(InterpolationPoint(at=step / (steps - 1), text=texts[best], distance=distances[best]))
    return points


@torch.no_grad()
def _means(cvae: Cvae, bundle: Bundle, sentences: Sequence[str]) -> Tensor:
    """Posterior mean of each sentence: [N, Z]."""
    encoded = EncodedSentences(sentences, [()] * len(sentences), bundle.vocabulary, bundle.genres)
    return cvae.encode(encoded.batch(list(range(len(sentences))))).mu
