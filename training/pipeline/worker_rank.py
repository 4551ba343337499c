"""Work of ranks other than 0 under `torchrun`: their shard of the CVAE's training steps."""

from __future__ import annotations

from handlers.model.vocabulary import Vocabulary
from training.corpus import Corpus
from training.cvae.batches import EncodedSentences
from training.cvae.training import decoder_config, train_cvae
from training.pipeline.plan import TrainPlan
from training.progress import silent
from training.settings import TrainSettings
from training.tracking.port import NullTracker


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
