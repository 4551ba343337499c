"""Candidates as they are described to those who study the ranking."""

from __future__ import annotations

from dataclasses import dataclass

from handlers.decoding.sequences import DecodedSequence
from handlers.model.acceptability import Features


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """Candidate that was decoded to its end, with what the ranking knows of it."""

    seed: int
    """Seed with which a request for one sample, with `best_of` 1, gives this text."""
    text: str
    """Text with placeholders."""
    decoded: DecodedSequence
    shares: tuple[float, ...]
    """Share of each topic."""
    features: Features
    score: float
    """Score by the bundle's acceptability."""
    abandoned_after: int | None
    """Number of tokens after which a worker abandons it; None if it does not."""
