"""Warm-up of a worker: decodes of every kind before TorchServe reports it ready."""

from __future__ import annotations

import logging
import math
from typing import Any, Final

from handlers.commentary import Commentator
from handlers.contract import EXAMPLE_SAMPLING, CommentaryRequest, field_values
from handlers.decoding.matmul import MAX_BATCH
from handlers.model.bundle import Bundle
from handlers.worker.options import WorkerOptions

_log = logging.getLogger(__name__)

_TOKENS: Final = 8
"""Length of a warm-up sequence. First-time costs arise in a decode's first steps or when a sequence ends."""

_CHECKED_SEQUENCES: Final = 8
_MAX_ERROR: Final = 0.05
"""Largest accepted error of the kernels in nats per token; bfloat16 stays below a tenth of it, a faulty kernel not."""


def ready(bundle: Bundle, device: str, options: WorkerOptions) -> Commentator:
    """Return a model that has decoded every kind of request once.

    GPU kernels are compiled on the machine, with the compiler installed there, so they are compared with torch's own
    modules first. Where they do not compile, or give other results, torch's products decode instead, more slowly.

    Args:
        bundle: model to decode with.
        device: device to decode on.
        options: options of the worker.

    Raises:
        ValueError: the device does not support an option.
    """
    commentator = Commentator(
        bundle,
        device=device,
        precision=options.precision,
        slots=options.slots,
        kernels=options.kernels,
        compiled=options.compiled,
    )
    if commentator.kernels and not _kernels_agree(commentator):
        slots = None if options.slots is None else min(options.slots, MAX_BATCH)
        commentator = Commentator(bundle, device=device, precision=options.precision, slots=slots, kernels=False)
    warm_up(commentator)
    return commentator


def _kernels_agree(commentator: Commentator) -> bool:
    """Return whether the GPU kernels agree with torch; if not, the reason is logged."""
    try:
        error = commentator.largest_error(_CHECKED_SEQUENCES, _TOKENS)
    except Exception:  # noqa: BLE001 - no compiler, no memory, a GPU unknown to Triton: torch decodes instead
        _log.exception("the GPU kernels do not run; torch's products decode instead")
        return False
    if error > _MAX_ERROR or math.isnan(error):
        _log.error("the GPU kernels differ from torch by %.3f nats per token; torch's products decode instead", error)
        return False
    return True


def warm_up(commentator: Commentator) -> None:
    """Answer a single request, a batch that uses every option, and as many requests as there are slots."""
    genres, topics = commentator.bundle.genres.labels[:2], commentator.bundle.topics.names
    commentator.answer([CommentaryRequest(genres=(), num_samples=1, best_of=1, seed=0)])
    kinds: list[dict[str, Any]] = [
        {},
        {"best_of": None},
        {"best_of": 3, "topic": topics[-1]},
        *({"best_of": 3, "rank_by": rule} for rule in commentator.rules),
        {"top_k": 40, "min_p": 0.02, "top_p": 1.0, "temperature": 0.8},
        {"temperature": 0.0, "artist": "A", "title": "T"},
        *({name: value} for name, value in field_values(EXAMPLE_SAMPLING).items()),
    ]
    commentator.answer([_request(genres, num_samples=3, **kind) for kind in kinds])
    commentator.answer([_request(genres, num_samples=1)] * commentator.slots)


def _request(genres: tuple[str, ...], **values: Any) -> CommentaryRequest:
    """Return a request from the values of the wire's fields."""
    return CommentaryRequest.from_mapping({"genres": genres, "seed": 1, "max_tokens": _TOKENS, "best_of": 1, **values})
