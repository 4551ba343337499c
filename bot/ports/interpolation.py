"""Interpolation between two sentences."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class InterpolationPoint:
    """Sentence between two others."""

    at: float
    """Position between the first sentence, 0, and the last, 1."""
    text: str


class Interpolator(ABC):
    """Interpolation through a model's latent space. Called from several threads at once."""

    @abstractmethod
    def interpolate(self, first: str, last: str, *, steps: int, genres: Sequence[str]) -> Sequence[InterpolationPoint]:
        """Return the points between two sentences, both ends included.

        Raises:
            InputError: a sentence is empty or too long.
            SongFailedError: the interpolation failed; the message says why.
            NoServiceError: there is no interpolator, or it is busy.
        """
