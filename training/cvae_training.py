"""The CVAE's training loop: named steps, a checkpoint after each epoch, and what the result is measured by.

Every epoch seeds its own random numbers from (seed, epoch), so a training that was stopped and goes on from its last
checkpoint takes the same steps as one that was not.
"""

from __future__ import annotations

import io
import math
import pickle
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from handlers.decoder import DecoderConfig
from training.batches import Batch, EncodedSentences
from training.cvae import Cvae, Posterior
from training.errors import CheckpointError, NotLearnedError
from training.files import atomic_path
from training.presets import CvaeSettings
from training.progress import Progress
from training.tracker import Run

Clock = Callable[[], float]


@dataclass(frozen=True, slots=True, kw_only=True)
class CvaeScores:
    """A CVAE on held-out sentences; nats per sentence unless it says otherwise."""

    elbo: float
    reconstruction: float
    kl: float
    active_units: int
    """Dimensions of z whose posterior mean varies by at least .01 (Burda 2016)."""
    perplexity_bound: float
    """exp(-ELBO per token), end marks counted: an upper bound on perplexity."""
    bits_per_character: float

    def metrics(self, prefix: str) -> dict[str, float]:
        """As tracked figures."""
        return {f"{prefix}.{name}": float(getattr(self, name)) for name in self.__slots__}


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
    clock: Clock = time.monotonic,
) -> Cvae:
    """Train until the epochs or the budget are used up, whichever comes first.

    Args:
        config: sizes.
        settings: schedule.
        train: sentences to learn from.
        valid: sentences to watch.
        seed: of everything random.
        checkpoint: file that is written after each epoch and continued from if it is there.
        run: gets curves per step and per epoch.
        progress: told about steps done.
        budget_s: seconds after which the schedule should have ended; None for no limit.
        device: where to train.
        clock: seconds, monotonic.

    Raises:
        CheckpointError: the checkpoint that is there cannot be read.
        NotLearnedError: the loss has become infinite or no number.
        OutputError: the checkpoint cannot be written.
    """
    started = clock()
    torch.manual_seed(seed)
    model = Cvae(config, dropout=settings.dropout, mu_scale=settings.mu_scale).to(device)
    optimizer = torch.optim.Adam(model.parameters(), lr=settings.learning_rate)
    steps_per_epoch = math.ceil(len(train) / settings.batch_size)
    total = steps_per_epoch * settings.epochs
    first_epoch, spent_before = _resume(checkpoint, model, optimizer)
    done = first_epoch * steps_per_epoch

    def spent() -> float:
        return spent_before + clock() - started

    for epoch in range(first_epoch, settings.epochs):
        torch.manual_seed(1_000_003 * seed + epoch)
        order = np.random.default_rng((seed, epoch))
        model.train()
        for indices in train.bucketed(settings.batch_size, order):
            share = _share_done(done, total, spent(), budget_s)
            if share >= 1:
                break
            dropped = order.random(len(indices)) < settings.genre_dropout
            batch = train.batch(indices, without_genres=dropped).to(device)
            figures = _step(model, optimizer, batch, settings, share)
            done += 1
            if done % 20 == 0:
                run.log_metrics(figures, step=done)
            progress(share, 1.0, f"epoch {epoch + 1}, {figures['train.nats_per_token']:.2f} nats/token")
        scores = score_cvae(model, valid, batch_size=settings.batch_size, device=device)
        if not math.isfinite(scores.elbo):
            raise NotLearnedError(
                f"the CVAE's loss is no number any more after epoch {epoch + 1}; lower cvae.learning_rate "
                f"({settings.learning_rate:g})"
            )
        run.log_metrics(scores.metrics("valid"), step=done)
        _save_checkpoint(checkpoint, model, optimizer, epoch + 1, spent())
        if _share_done(done, total, spent(), budget_s) >= 1:
            break
    progress(1.0, 1.0, f"{done} steps")
    return model.eval()


@torch.no_grad()
def score_cvae(model: Cvae, sentences: EncodedSentences, *, batch_size: int, device: str = "cpu") -> CvaeScores:
    """ELBO and its parts with one z per sentence, drawn from q(z | x) by a fixed seed."""
    model.eval()
    generator = torch.Generator(device="cpu").manual_seed(0)
    log_prob = kl = 0.0
    means: list[Tensor] = []
    order = np.argsort(sentences.lengths_N, kind="stable")
    for start in range(0, len(order), batch_size):
        batch = sentences.batch(order[start : start + batch_size]).to(device)
        posterior = model.encode(batch)
        noise_BZ = torch.randn(posterior.mu.shape, generator=generator).to(device)
        z_BZ = posterior.mu + torch.exp(0.5 * posterior.log_variance) * noise_BZ
        log_prob += float(model.token_log_probs(batch, z_BZ)[0].sum())
        kl += float(posterior.kl_BZ().sum())
        means.append(posterior.mu)
    count = max(len(sentences), 1)
    elbo = log_prob - kl
    return CvaeScores(
        elbo=elbo / count,
        reconstruction=log_prob / count,
        kl=kl / count,
        active_units=int((torch.cat(means).var(dim=0) >= 0.01).sum()) if len(sentences) > 1 else 0,
        perplexity_bound=math.exp(min(-elbo / max(sentences.num_tokens, 1), 50.0)),
        bits_per_character=-elbo / math.log(2) / max(sentences.num_characters, 1),
    )


def _step(
    model: Cvae, optimizer: torch.optim.Optimizer, batch: Batch, settings: CvaeSettings, share: float
) -> dict[str, float]:
    """One update; the loss is in nats per sentence, KL summed over dimensions and cross-entropy over tokens."""
    posterior = model.encode(batch)
    log_prob_P, _ = model.token_log_probs(batch, posterior.sample(), word_dropout=settings.word_dropout)
    reconstruction = -log_prob_P.sum() / len(batch.lengths_B)
    beta = min(1.0, share / settings.warm_up) if settings.warm_up > 0 else 1.0
    loss = reconstruction + beta * free_kl(posterior, settings.free_nats)
    optimizer.param_groups[0]["lr"] = settings.learning_rate * _decay(share)
    optimizer.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
    norm = torch.nn.utils.clip_grad_norm_(model.parameters(), settings.clip)
    optimizer.step()
    return {
        "train.nats_per_token": float(reconstruction.detach()) * len(batch.lengths_B) / batch.num_tokens,
        "train.kl": float(posterior.kl_BZ().detach().sum(dim=1).mean()),
        "train.beta": beta,
        "train.gradient_norm": float(norm),
    }


def free_kl(posterior: Posterior, free_nats: float) -> Tensor:
    """KL per sentence in nats, with each dimension's batch mean counted only above its share of the free nats."""
    kl_Z = posterior.kl_BZ().mean(dim=0)
    return kl_Z.clamp_min(free_nats / len(kl_Z)).sum()


def _decay(share: float) -> float:
    """Learning rate factor: flat for the first half, then down to a twentieth along a cosine."""
    if share < 0.5:
        return 1.0
    return 0.05 + 0.95 * 0.5 * (1 + math.cos(math.pi * (min(share, 1.0) - 0.5) * 2))


def _share_done(done: int, total: int, spent: float, budget_s: float | None) -> float:
    by_steps = done / total if total else 1.0
    return by_steps if budget_s is None else max(by_steps, spent / budget_s)


def _save_checkpoint(path: Path, model: Cvae, optimizer: torch.optim.Optimizer, epochs_done: int, spent: float) -> None:
    state = {
        "model": model.state_dict(),
        "optimizer": optimizer.state_dict(),
        "epochs_done": epochs_done,
        "spent": spent,
    }
    # In memory first: torch.save itself turns a full disk into an error that does not say so.
    packed = io.BytesIO()
    torch.save(state, packed)
    with atomic_path(path) as partial:
        partial.write_bytes(packed.getbuffer())


def _resume(path: Path, model: Cvae, optimizer: torch.optim.Optimizer) -> tuple[int, float]:
    """Epochs and seconds already spent; 0 and 0 without a checkpoint."""
    if not path.exists():
        return 0, 0.0
    try:
        state = torch.load(path, weights_only=True, map_location="cpu")
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        return int(state["epochs_done"]), float(state["spent"])
    except (OSError, EOFError, RuntimeError, pickle.UnpicklingError, KeyError, TypeError, ValueError) as cause:
        raise CheckpointError(
            f"the checkpoint {path} cannot be read ({type(cause).__name__}); remove it, or train with --no-resume"
        ) from cause
