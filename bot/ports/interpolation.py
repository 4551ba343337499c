"""Interpolation between two sentences."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class InterpolationPoint:
    """A sentence on the way from one to another."""

    at: float
    """0 at the first sentence, 1 at the last."""
    text: str


class Interpolator(ABC):
    """Who walks from one sentence to another through what a model thinks of them. Called from several threads."""

    @abstractmethod
    def interpolate(self, first: str, last: str, *, steps: int, genres: Sequence[str]) -> Sequence[InterpolationPoint]:
        """The points of a walk, its ends included.

        Raises:
            InputError: a sentence is empty or too long.
            SongFailedError: it could not be done, and why.
            NoServiceError: nobody is here who could.
        """
