"""What the processes beside the first one do in a training that `torchrun` started: their share of the CVAE's steps."""

from __future__ import annotations

from handlers.model.vocabulary import Vocabulary
from training.corpus import Corpus
from training.cvae.batches import EncodedSentences
from training.cvae.training import decoder_config, train_cvae
from training.pipeline.plan import CVAE_BUDGET, TrainPlan
from training.progress import silent
from training.settings import TrainSettings
from training.tracking.port import NullTracker


def run_worker_rank(corpus: Corpus, settings: TrainSettings, plan: TrainPlan) -> None:
    """Wait until the first process comes to the CVAE, train with it, and leave the rest to it.

    Raises:
        NotLearnedError: the loss has become no number, as the first process will say too.
    """
    tokens = plan.process_group.broadcast_object(None)
    if tokens is None:  # the CVAE was trained before
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
            checkpoint=plan.workspace / "checkpoint.pt",  # read and written by the first process alone
            run=run,
            progress=silent,
            budget_s=None if plan.budget_s is None else plan.budget_s * CVAE_BUDGET,
            device=plan.device,
            bf16=plan.bf16,
            process_group=plan.process_group,
        )
