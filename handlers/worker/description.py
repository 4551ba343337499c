"""Description of a worker, for TorchServe's DescribeModel with `customized=true`."""

from __future__ import annotations

from typing import Any

import torch

from handlers import contract
from handlers.commentary import Commentator


def describe(commentator: Commentator) -> dict[str, Any]:
    """Return the model version, its lineage, its runtime options and the limits of requests, ready for JSON."""
    bundle, config = commentator.bundle, commentator.bundle.config
    return {
        "name": config.model,
        "version": config.version,
        "lineage": dict(config.lineage),
        "precision": commentator.precision.value,
        "slots": commentator.slots,
        "kernels": commentator.kernels,
        "decoded_by": commentator.decoded_by,
        "threads": torch.get_num_threads(),
        "topics": list(config.topics),
        "desired_topic": config.desired_topic,
        "genres": list(bundle.genres.labels),
        "best_of": commentator.default_best_of,
        "rank_by": list(commentator.rules),
        "limits": {
            "max_samples": contract.MAX_SAMPLES,
            "max_tokens": contract.MAX_TOKENS,
            "max_best_of": contract.MAX_BEST_OF,
            "max_sequences": contract.MAX_SEQUENCES,
            "max_genres": contract.MAX_GENRES,
            "max_bad_words": contract.MAX_BAD_WORDS,
            "max_text_length": contract.MAX_TEXT_LENGTH,
            "max_seed": contract.MAX_SEED,
        },
    }
