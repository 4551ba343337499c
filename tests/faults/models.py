"""Versions that write real sentences: small random models, decoded by the worker's own engine.

The texts of every version are decoded here before a fault, so that each answer under a fault can be compared with what
its version writes for its seed. No two versions write the same.
"""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from handlers.commentary import Commentator
from handlers.contract import CommentaryRequest, SamplingParams
from handlers.model.bundle import Bundle
from tests.handlers.tiny_bundles import GENRES, tiny_bundle
from training.packaging.archive import BatchSettings, build_archive
from training.packaging.export import save_bundle

NUM_SEEDS: Final = 16
NUM_SAMPLES: Final = 2

Texts = tuple[str, ...]
Table = Mapping[int, Texts]
"""Texts of one version by seed."""


def request_of(seed: int) -> CommentaryRequest:
    """The request of a load; best_of 1 and few tokens keep a decode at some milliseconds."""
    return CommentaryRequest(
        genres=(GENRES[0],), num_samples=NUM_SAMPLES, seed=seed, best_of=1, sampling=SamplingParams(max_tokens=12)
    )


def build_version(out: Path, model: str, version: str, *, response_timeout_s: int = 60) -> Path:
    """Build the archive of a version; its weights follow from its number."""
    bundle = tiny_bundle(seed=int(version), version=version)
    config = dataclasses.replace(bundle.config, model=model)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch, "bundle")
        save_bundle(dataclasses.replace(bundle, config=config), folder, figures={}, samples=[])
        batching = BatchSettings(batch_size=16, response_timeout_s=response_timeout_s)
        return build_archive(folder, out, version=version, batching=batching).path


def table_of(version: str) -> Table:
    """Decode what a version writes, one request at a time."""
    with tempfile.TemporaryDirectory() as scratch:
        tiny_bundle(seed=int(version), version=version).save(Path(scratch), model_card="")
        commentator = Commentator(Bundle.load(Path(scratch)))
    answers = {seed: commentator.answer([request_of(seed)])[0] for seed in range(NUM_SEEDS)}
    return {seed: tuple(sample.text for sample in answer.samples) for seed, answer in answers.items()}
