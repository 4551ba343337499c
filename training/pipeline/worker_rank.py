"""Work of ranks other than 0 under `torchrun`: their shard of the CVAE's training steps."""

from __future__ import annotations

import hashlib
from itertools import chain
from pathlib import Path
from typing import Any

import torch

import handlers.model
from foundation.version import project_version
from handlers.model.vocabulary import Vocabulary
from training.corpus import Corpus
from training.cvae.batches import EncodedSentences
from training.cvae.training import decoder_config, train_cvae
from training.pipeline.plan import TrainPlan
from training.progress import silent
from training.settings import TrainSettings
from training.tracking.port import NullTracker


def shared_facts(corpus: Corpus, settings: TrainSettings, plan: TrainPlan) -> dict[str, Any]:
    """Return what has to be the same in all processes of a training, so that their shards belong to one batch."""
    cvae = {name: str(value) for name, value in settings.flat("cvae").items() if name != "preset"}
    return {
        "deephypebot": project_version(),
        "code": _steps_code(),
        "torch": torch.__version__,
        "corpus": corpus.content_hash,
        **cvae,
        "device": plan.device.partition(":")[0],
        "bf16": plan.bf16,
        "budget": plan.budget_s,
    }


def _steps_code() -> str:
    """Return the SHA-256 of the code that takes the steps; checkouts of many commits have the same release."""
    # The decoder that is trained is the worker's own.
    folders = (Path(__file__).parents[1] / "cvae", Path(handlers.model.__file__).parent)
    modules = chain.from_iterable(sorted(folder.glob("*.py")) for folder in folders)
    return hashlib.sha256(b"".join(path.read_bytes() for path in modules)).hexdigest()


def run_worker_rank(corpus: Corpus, settings: TrainSettings, plan: TrainPlan) -> None:
    """Wait until rank 0 reaches the CVAE, train it together, and return; rank 0 does the rest.

    Raises:
        NotLearnedError: the loss is not finite any more; rank 0 raises the same.
    """
    tokens = plan.process_group.broadcast_object(None)
    if tokens is None:  # rank 0 reuses a trained CVAE
        return
    vocabulary, table = Vocabulary(tokens=tuple(tokens)), corpus.genre_table
    train, valid = (
        EncodedSentences(part.texts, part.genres, vocabulary, table)
        for part in (corpus.part("train"), corpus.part("valid"))
    )
    with NullTracker().run("cvae") as run:
        train_cvae(
            decoder_config(settings.cvae, vocabulary_size=len(vocabulary), num_genres=len(table)),
            settings.cvae,
            train,
            valid,
            seed=settings.seed,
            checkpoint=plan.workspace / "checkpoint.pt",  # only rank 0 reads and writes it
            run=run,
            progress=silent,
            # Whether there is a limit; the clock of rank 0 counts.
            budget_s=plan.budget_s,
            device=plan.device,
            bf16=plan.bf16,
            process_group=plan.process_group,
        )
