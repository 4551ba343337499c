"""The CVAE's training loop: named steps, checkpoints on the way, and exactly the same steps after an interruption.

Every step seeds its own random numbers from (seed, step), so a training that was killed and goes on from its last
checkpoint takes the same steps as one that was not.
"""

from __future__ import annotations

import io
import math
import pickle
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor

from handlers.decoder import DecoderConfig
from training.batches import EncodedSentences
from training.cvae import Cvae, Posterior
from training.cvae_scores import score_cvae
from training.errors import CheckpointError, NotLearnedError
from training.files import atomic_path
from training.output_loss import VocabularySampler
from training.presets import CvaeSettings
from training.progress import Progress
from training.tracker import Run

Clock = Callable[[], float]

_LOG_EVERY: Final = 20
"""Steps between two points of a curve; in between nothing asks the device for a number."""
_CHECKPOINT_EVERY_S: Final = 120.0
_UNREADABLE: Final = (
    OSError, EOFError, RuntimeError, pickle.UnpicklingError, KeyError, TypeError, ValueError, AttributeError
)  # fmt: skip
"""What torch and the parts of a training say of a file that is no checkpoint of theirs."""


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
        checkpoint: file that is written every two minutes and after each epoch, and continued from if it is there.
        run: gets curves per step and per epoch.
        progress: told about steps done.
        budget_s: seconds after which the schedule should have ended; None for no limit.
        device: where to train.
        clock: seconds, monotonic.

    Raises:
        CheckpointError: the checkpoint that is there cannot be read.
        NotLearnedError: the loss has become infinite or no number; the last good checkpoint stays.
        OutputError: the checkpoint cannot be written.
    """
    torch.manual_seed(seed)
    model = Cvae(config, encoder_size=settings.encoder_size, dropout=settings.dropout, mu_scale=settings.mu_scale)
    loop = _Loop(
        model=model.to(device),
        settings=settings,
        train=train,
        seed=seed,
        device=device,
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
        scores = score_cvae(model, valid, batch_size=settings.batch_size, device=device)
        if not math.isfinite(scores.elbo):
            raise loop.not_a_number()
        run.log_metrics(scores.metrics("valid"), step=loop.done)
        loop.save(checkpoint)
        saved_s = clock()
    progress(1.0, 1.0, f"{loop.done} steps")
    return model.eval()


@dataclass(slots=True, kw_only=True)
class _Loop:
    """A training under way."""

    model: Cvae
    settings: CvaeSettings
    train: EncodedSentences
    seed: int
    device: str
    budget_s: float | None
    clock: Clock
    done: int = 0
    """Steps taken, those before an interruption included."""
    decoder_is_new: bool = False
    """Whether the decoder has started anew behind the autoencoder phase."""
    optimizer: torch.optim.Optimizer = field(init=False)
    _sampler: VocabularySampler | None = field(init=False, default=None)
    _started: float = field(init=False)
    _spent_before: float = field(init=False, default=0.0)

    def __post_init__(self) -> None:
        # One fused pass over all weights instead of a dozen.
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=self.settings.learning_rate, fused=True)
        if 0 < self.settings.sampled_vocabulary < self.model.decoder.config.vocabulary_size:
            counts_V = self.train.token_counts(self.model.decoder.config.vocabulary_size)
            self._sampler = VocabularySampler(counts_V, self.settings.sampled_vocabulary)
        self._started = self.clock()

    # Where it stands

    @property
    def steps_per_epoch(self) -> int:
        """Batches of the training split."""
        return math.ceil(len(self.train) / self.settings.batch_size)

    @property
    def epoch(self) -> int:
        """Whole epochs behind us."""
        return self.done // self.steps_per_epoch

    @property
    def share(self) -> float:
        """Share of the schedule that is done: of the steps or of the budget, whichever is further."""
        by_steps = self.done / (self.steps_per_epoch * self.settings.epochs)
        return by_steps if self.budget_s is None else max(by_steps, self._spent() / self.budget_s)

    @property
    def over(self) -> bool:
        """Whether the schedule has ended."""
        return self.share >= 1

    def _spent(self) -> float:
        return self._spent_before + self.clock() - self._started

    def rest_of_epoch(self) -> Iterator[np.ndarray]:
        """The batches of this epoch that have not been taken."""
        batches = list(self.train.bucketed(self.settings.batch_size, np.random.default_rng((self.seed, self.epoch))))
        yield from batches[self.done % self.steps_per_epoch :]

    # Steps

    def step(self, indices: np.ndarray) -> Mapping[str, float]:
        """One update; the loss is in nats per sentence, KL summed over dimensions and cross-entropy over tokens.

        Returns:
            Figures every few steps, nothing in between.

        Raises:
            NotLearnedError: the loss is no number any more.
        """
        share = self.share
        settings = self.settings
        self.model.train()
        torch.manual_seed((self.seed << 32) + self.done)
        rng = np.random.default_rng((self.seed, self.done))
        batch = self.train.batch(indices, without_genres=rng.random(len(indices)) < settings.genre_dropout)
        batch = batch.to(self.device)
        posterior = self.model.encode(batch)
        as_autoencoder = share < settings.autoencoder
        if not (as_autoencoder or self.decoder_is_new):
            self._renew_decoder()
        reconstruction = self.model.reconstruction(
            batch,
            posterior.mu if as_autoencoder else posterior.sample(),
            word_dropout=settings.word_dropout,
            sampler=self._sampler if share < settings.exact_from else None,
        ) / len(indices)
        beta = 0.0 if as_autoencoder else _beta(share, settings)
        loss = reconstruction + beta * free_kl(posterior, settings.free_nats)
        self.optimizer.param_groups[0]["lr"] = settings.learning_rate * _decay(share)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), settings.clip)
        self.optimizer.step()
        self.done += 1
        if self.done % _LOG_EVERY:
            return {}
        if not math.isfinite(float(loss.detach())):
            raise self.not_a_number()
        return {
            "train.nats_per_token": float(reconstruction.detach()) * len(indices) / batch.num_tokens,
            "train.kl": float(posterior.kl_BZ().detach().sum(dim=1).mean()),
            "train.beta": beta,
            "train.gradient_norm": float(norm),
        }

    def _renew_decoder(self) -> None:
        """Throw away what the decoder learned beside noise-free z; embeddings, which the encoder reads too, stay."""
        self.decoder_is_new = True
        if self.settings.autoencoder == 0:
            return
        decoder = self.model.decoder
        for module in (decoder.initial_state, decoder.lstm, decoder.projection):
            module.reset_parameters()
            for parameter in module.parameters():
                self.optimizer.state.pop(parameter, None)

    def not_a_number(self) -> NotLearnedError:
        """What to say when the loss has left the numbers."""
        return NotLearnedError(
            f"the CVAE's loss is no number any more at step {self.done} (epoch {self.epoch + 1}); lower "
            f"cvae.learning_rate ({self.settings.learning_rate:g}) or cvae.clip ({self.settings.clip:g}); "
            "the last good checkpoint is kept"
        )

    # Checkpoints

    def save(self, path: Path) -> None:
        """Write everything that the next step depends on.

        Raises:
            NotLearnedError: some weight is no number; the checkpoint that is there stays.
            OutputError: it cannot be written.
        """
        if not all(bool(torch.isfinite(parameter).all()) for parameter in self.model.parameters()):
            raise self.not_a_number()
        state = {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "done": self.done,
            "decoder_is_new": self.decoder_is_new,
            "spent": self._spent(),
            "told": self._told(),
        }
        # In memory first: torch.save itself turns a full disk into an error that does not say so.
        packed = io.BytesIO()
        torch.save(state, packed)
        with atomic_path(path) as partial:
            partial.write_bytes(packed.getbuffer())

    def resume(self, path: Path) -> None:
        """Go on from a checkpoint if there is one.

        Raises:
            CheckpointError: it cannot be read, or is of a training with other settings.
        """
        if not path.exists():
            return
        try:
            state = torch.load(path, weights_only=True, map_location="cpu")
            self._check_told(path, state.get("told", {}))
            self.model.load_state_dict(state["model"])
            self.optimizer.load_state_dict(state["optimizer"])
            self.done, self.decoder_is_new = int(state["done"]), bool(state["decoder_is_new"])
            self._spent_before = float(state["spent"])
        except _UNREADABLE as cause:
            raise CheckpointError(
                f"the checkpoint {path} cannot be read ({type(cause).__name__}); remove it, or train with --no-resume"
            ) from cause

    def _told(self) -> dict[str, Any]:
        """What decides how the steps turn out, beside the sentences."""
        config = self.model.decoder.config
        sizes = {"vocabulary_size": config.vocabulary_size, "num_genres": config.num_genres}
        return {"seed": self.seed, "sentences": len(self.train), **sizes, **asdict(self.settings)}

    def _check_told(self, path: Path, then: Mapping[str, Any]) -> None:
        now = self._told()
        other = [f"{name} {value}, not {now[name]}" for name, value in then.items() if now.get(name, value) != value]
        if other:
            raise CheckpointError(
                f"the checkpoint {path} is of a training with {'; '.join(other)}; ask for the same again, "
                "remove the checkpoint, or train with --no-resume"
            )


def free_kl(posterior: Posterior, free_nats: float) -> Tensor:
    """KL per sentence in nats, with each dimension's batch mean counted only above its share of the free nats."""
    kl_Z = posterior.kl_BZ().mean(dim=0)
    return kl_Z.clamp_min(free_nats / len(kl_Z)).sum()


def _beta(share: float, settings: CvaeSettings) -> float:
    """KL weight: rises to 1 over the warm-up, counted from the end of the autoencoder phase."""
    if settings.warm_up == 0:
        return 1.0
    return min(1.0, (share - settings.autoencoder) / (1 - settings.autoencoder) / settings.warm_up)


def _decay(share: float) -> float:
    """Learning rate factor: flat for the first half, then down to a twentieth along a cosine."""
    if share < 0.5:
        return 1.0
    return 0.05 + 0.95 * 0.5 * (1 + math.cos(math.pi * (min(share, 1.0) - 0.5) * 2))
