"""What a worker decodes before it says that it is ready, so that no client's request is the first of its kind."""

from __future__ import annotations

import logging
import math
from typing import Any, Final

from handlers.commentary import Commentator
from handlers.contract import CommentaryRequest
from handlers.decoding.matmul import MOST_ROWS
from handlers.model.bundle import Bundle
from handlers.worker.options import WorkerOptions

_log = logging.getLogger(__name__)

_TOKENS: Final = 8
"""Enough: what comes for the first time comes in a decode's first steps, or when a row ends."""

_CHECKED_ROWS: Final = 8
_MAX_ERROR: Final = 0.05
"""Nats per token: bfloat16 stays below a tenth of it, a kernel that errs does not."""


def ready(bundle: Bundle, device: str, options: WorkerOptions) -> Commentator:
    """A model that has decoded whatever a client may ask for.

    A GPU's kernels are compiled for the machine, by what is installed there, so they are held against torch's own
    modules first. Where they cannot be compiled, or err, torch's products decode instead, more slowly.

    Args:
        bundle: the model.
        device: where to decode.
        options: how.

    Raises:
        ValueError: an option that the device does not have.
    """
    commentator = Commentator(
        bundle, device=device, precision=options.precision, slots=options.slots, kernels=options.kernels
    )
    if commentator.kernels and not _are_sound(commentator):
        slots = None if options.slots is None else min(options.slots, MOST_ROWS)
        commentator = Commentator(bundle, device=device, precision=options.precision, slots=slots, kernels=False)
    warm_up(commentator)
    return commentator


def _are_sound(commentator: Commentator) -> bool:
    """Whether a GPU's kernels decode as torch does; if not, the worker's log says so."""
    try:
        error = commentator.largest_error(_CHECKED_ROWS, _TOKENS)
    except Exception:  # noqa: BLE001 - no compiler, no memory, a GPU that Triton does not know: there is another way
        _log.exception("the GPU's kernels do not run; torch's products decode instead")
        return False
    if error > _MAX_ERROR or math.isnan(error):
        _log.error("the GPU's kernels are %.3f nats per token from torch; torch's products decode instead", error)
        return False
    return True


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
        {"guidance": 1.25},
    ]
    commentator.answer([_request(genres, num_samples=3, **kind) for kind in kinds])
    commentator.answer([_request(genres, num_samples=1)] * commentator.slots)


def _request(genres: tuple[str, ...], **values: Any) -> CommentaryRequest:
    return CommentaryRequest(genres=genres, seed=1, max_tokens=_TOKENS, **values)
