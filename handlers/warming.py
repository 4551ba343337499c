"""What a worker decodes before it says that it is ready, so that no client's request is the first of its kind."""

from __future__ import annotations

from typing import Any, Final

from handlers.commentary import Commentator
from handlers.contract import CommentaryRequest

_TOKENS: Final = 8
"""Enough: what comes for the first time comes in a decode's first steps, or when a row ends."""


def warm_up(commentator: Commentator) -> None:
    """Answer a lone request, a batch that asks for everything there is, and as many rows as there are slots."""
    genres, topics = commentator.bundle.genres.labels[:2], commentator.bundle.topics.names
    commentator.answer([CommentaryRequest(genres=(), num_samples=1, seed=0)])
    kinds: list[dict[str, Any]] = [
        {},
        {"best_of": 3, "topic": topics[-1]},
        {"top_k": 40, "min_p": 0.02, "top_p": 1.0, "temperature": 0.8},
        {"min_tokens": 2, "no_repeat_ngram": 2, "banned": ("word",)},
        {"temperature": 0.0, "artist": "A", "title": "T"},
    ]
    commentator.answer([_request(genres, num_samples=3, **kind) for kind in kinds])
    commentator.answer([_request(genres, num_samples=1)] * commentator.slots)


def _request(genres: tuple[str, ...], **values: Any) -> CommentaryRequest:
    return CommentaryRequest(genres=genres, seed=1, max_tokens=_TOKENS, **values)
