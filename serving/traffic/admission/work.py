"""Work of a request, known before it is decoded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from handlers.contract import CommentaryRequest

TYPICAL_TOKENS: Final = 16
"""Tokens of a sequence that may end by itself: most sentences are about as long, whatever `max_tokens` allows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """Work that one request asks of a worker."""

    sequences: int
    """Sequences to decode: samples times candidates."""
    tokens: int
    """Tokens that these are expected to have together, with the second branch of guided ones."""

    @property
    def size(self) -> int:
        """Size class: requests of one class differ by less than a factor of two in their tokens."""
        return self.tokens.bit_length()


def work_of(request: CommentaryRequest, *, default_best_of: int) -> Work:
    """Return the work of a request.

    Args:
        request: the request.
        default_best_of: candidates for each sample where the request does not say.

    >>> work_of(CommentaryRequest(num_samples=5), default_best_of=16)
    Work(sequences=80, tokens=1280)
    """
    sequences = request.num_samples * (request.best_of or default_best_of)
    sampling = request.sampling
    length = min(max(TYPICAL_TOKENS, sampling.min_tokens), sampling.max_tokens)
    branches = 2 if sampling.guidance != 1 and request.genres else 1
    return Work(sequences=sequences, tokens=sequences * length * branches)
