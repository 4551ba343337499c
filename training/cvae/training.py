"""Training of the CVAE: epochs of steps, with checkpoints, and held-out scores after each epoch."""

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
    """A trained model and its held-out scores."""

    model: Cvae
    held_out: tuple[HeldOutPoint, ...]
    """Held-out scores after each epoch, in order."""


def decoder_config(settings: CvaeSettings, *, vocabulary_size: int, num_genres: int) -> DecoderConfig:
    """Return the sizes of a model for a vocabulary and genres."""
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
        config: sizes of the decoder.
        settings: sizes and schedule.
        train: sentences to train on.
        valid: sentences to score after each epoch.
        seed: seed of all random numbers.
        checkpoint: file to write every two minutes and after each epoch; an existing one is continued from.
        run: gets metrics per step and per epoch.
        progress: gets the fraction done.
        budget_s: seconds after which the schedule ends; None for no limit.
        device: device to train on.
        bf16: compute the output layer's products in bfloat16.
        process_group: processes that train this model; all of them call this function with the same arguments. Only
            rank 0 writes checkpoints and scores, and its clock counts.
        clock: monotonic clock, in seconds.

    Raises:
        CheckpointError: the checkpoint cannot be read, or belongs to a training with other settings.
        NotLearnedError: the loss is not finite any more; the last good checkpoint stays.
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
    while not loop.is_finished:
        for indices in loop.remaining_batches():
            figures = loop.step(indices)
            if figures:
                run.log_metrics(figures, step=loop.step_count)
                progress(
                    loop.fraction_done, 1.0, f"epoch {loop.epoch + 1}, {figures['train.nats_per_token']:.2f} nats/token"
                )
            if clock() - saved_s > _CHECKPOINT_EVERY_S:
                loop.save(checkpoint)
                saved_s = clock()
            if loop.is_finished:
                break
        metrics = loop.score(valid)
        run.log_metrics(metrics, step=loop.step_count)
        loop.save(checkpoint)
        saved_s = clock()
    progress(1.0, 1.0, f"{loop.step_count} steps")
    return TrainedCvae(model=model.eval(), held_out=tuple(loop.held_out))
