"""The CVAE's training: epochs of steps, checkpoints on the way, held-out scores after each epoch."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import torch

from handlers.model.decoder import DecoderConfig
from training.cvae.batches import EncodedSentences
from training.cvae.held_out import HeldOutPoint
from training.cvae.loop import Clock, CvaeLoop
from training.cvae.model import Cvae
from training.cvae.parallel import SINGLE_PROCESS, ProcessGroup
from training.progress import Progress
from training.settings import CvaeSettings
from training.tracking.port import Run

_CHECKPOINT_EVERY_S: Final = 120.0


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainedCvae:
    """A model, and how it came to be as good as it is."""

    model: Cvae
    held_out: tuple[HeldOutPoint, ...]
    """Its scores after each epoch, in their order."""


def decoder_config(settings: CvaeSettings, *, vocabulary_size: int, num_genres: int) -> DecoderConfig:
    """Sizes of a model for some vocabulary and genres."""
    return DecoderConfig(
        vocabulary_size=vocabulary_size,
        num_genres=num_genres,
        embedding_size=settings.embedding_size,
        hidden_size=settings.hidden_size,
        z_size=settings.z_size,
        genre_size=settings.genre_size,
    )


def train_cvae(
    config: DecoderConfig,
    settings: CvaeSettings,
    train: EncodedSentences,
    valid: EncodedSentences,
    *,
    seed: int,
    checkpoint: Path,
    run: Run,
    progress: Progress,
    budget_s: float | None = None,
    device: str = "cpu",
    bf16: bool = False,
    process_group: ProcessGroup = SINGLE_PROCESS,
    clock: Clock = time.monotonic,
) -> TrainedCvae:
    """Train until the epochs or the budget are used up, whichever comes first.

    Args:
        config: sizes.
        settings: schedule.
        train: sentences to learn from.
        valid: sentences to watch.
        seed: of everything random.
        checkpoint: file that is written every two minutes and after each epoch, and continued from if it is there.
        run: gets curves per step and per epoch.
        progress: told about steps done.
        budget_s: seconds after which the schedule should have ended; None for no limit.
        device: where to train.
        bf16: make the output layer's products in bfloat16.
        process_group: the processes that train this model, all of which call this with the same arguments; the first
            one alone writes checkpoints and scores, and its clock counts.
        clock: seconds, monotonic.

    Raises:
        CheckpointError: the checkpoint that is there cannot be read, or is of a training with other settings.
        NotLearnedError: the loss has become infinite or no number; the last good checkpoint stays.
        OutputError: the checkpoint cannot be written.
    """
    torch.manual_seed(seed)
    model = Cvae(config, encoder_size=settings.encoder_size, mu_scale=settings.mu_scale, process_group=process_group)
    loop = CvaeLoop(
        model=model.to(device),
        settings=settings,
        train=train,
        seed=seed,
        device=device,
        bf16=bf16,
        process_group=process_group,
        budget_s=budget_s,
        clock=clock,
    )
    loop.resume(checkpoint)
    saved_s = clock()
    while not loop.over:
        for indices in loop.rest_of_epoch():
            figures = loop.step(indices)
            if figures:
                run.log_metrics(figures, step=loop.done)
                progress(loop.share, 1.0, f"epoch {loop.epoch + 1}, {figures['train.nats_per_token']:.2f} nats/token")
            if clock() - saved_s > _CHECKPOINT_EVERY_S:
                loop.save(checkpoint)
                saved_s = clock()
            if loop.over:
                break
        metrics = loop.score(valid)
        run.log_metrics(metrics, step=loop.done)
        loop.save(checkpoint)
        saved_s = clock()
    progress(1.0, 1.0, f"{loop.done} steps")
    return TrainedCvae(model=model.eval(), held_out=tuple(loop.held_out))
