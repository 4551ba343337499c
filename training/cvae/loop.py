"""State of a CVAE training: its steps, its position in the schedule, and its checkpoints.

Every step seeds its random numbers from (seed, step), so a training that resumes from a checkpoint takes the same steps
as an uninterrupted one. Processes that shard a batch take the same steps as a single process.

Shapes: B rows, T steps, V tokens, Z latent vector.
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

from handlers.model.vocabulary import PAD_ID
from training.cvae.batches import EncodedSentences
from training.cvae.held_out import HeldOutPoint
from training.cvae.model import Cvae
from training.cvae.noise import StepNoise, mixed_seed
from training.cvae.output_loss import VocabularySampler
from training.cvae.parallel import SINGLE_PROCESS, ProcessGroup
from training.cvae.schedule import free_kl, genre_detail, kl_weight, learning_rate_factor
from training.cvae.scores import score_cvae
from training.errors import CheckpointError, NotLearnedError, SettingError
from training.files import atomic_path
from training.settings import CvaeSettings

Clock = Callable[[], float]

_LOG_EVERY: Final = 20
"""Steps between two points of a curve; steps in between do not synchronise with the device."""
_UNREADABLE: Final = (
    OSError, EOFError, RuntimeError, pickle.UnpicklingError, KeyError, TypeError, ValueError, AttributeError
)  # fmt: skip
"""Errors that torch and the parts of a training raise for a file that is not a checkpoint of theirs."""


@dataclass(slots=True, kw_only=True)
class CvaeLoop:
    """A CVAE training in progress."""

    model: Cvae
    settings: CvaeSettings
    train: EncodedSentences
    seed: int
    device: str = "cpu"
    budget_s: float | None = None
    clock: Clock = time.monotonic
    bf16: bool = False
    process_group: ProcessGroup = SINGLE_PROCESS
    step_count: int = 0
    """Steps taken, including those before an interruption."""
    fraction_done: float = 0.0
    """Fraction of the schedule that is done, by steps or by budget, whichever is larger; equal in all processes."""
    decoder_was_reset: bool = False
    """Whether the decoder has been initialised again after the autoencoder phase."""
    held_out: list[HeldOutPoint] = field(default_factory=list)
    """Held-out scores of each epoch so far, including those before an interruption."""
    optimizer: torch.optim.Optimizer = field(init=False)
    sampler: VocabularySampler | None = field(init=False, default=None)
    _started: float = field(init=False)
    _spent_before: float = field(init=False, default=0.0)

    def __post_init__(self) -> None:
        # Fused: one pass over all weights instead of a dozen.
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=self.settings.learning_rate, fused=True)
        if 0 < self.settings.sampled_vocabulary < self.model.decoder.config.vocabulary_size:
            counts_V = self.train.token_counts(self.model.decoder.config.vocabulary_size)
            self.sampler = VocabularySampler(counts_V, self.settings.sampled_vocabulary)
        smallest = len(self.train) // max(1, self.steps_per_epoch)
        if smallest < self.process_group.world_size:
            raise SettingError(
                f"batches of {smallest} sentences are too small for {self.process_group.world_size} processes: each "
                "needs at least one; start fewer with torchrun, or raise cvae.batch_size "
                f"({self.settings.batch_size})"
            )
        self._started = self.clock()
        self._update_fraction_done()

    # Position in the schedule

    @property
    def steps_per_epoch(self) -> int:
        """Batches of the training split."""
        return math.ceil(len(self.train) / self.settings.batch_size)

    @property
    def epoch(self) -> int:
        """Number of completed epochs."""
        return self.step_count // self.steps_per_epoch

    @property
    def is_finished(self) -> bool:
        """Whether the schedule has ended."""
        return self.fraction_done >= 1

    def _update_fraction_done(self) -> None:
        by_steps = self.step_count / (self.steps_per_epoch * self.settings.epochs)
        if self.budget_s is None:
            self.fraction_done = by_steps
        else:
            self.fraction_done = self.process_group.broadcast(max(by_steps, self._spent() / self.budget_s))

    def _spent(self) -> float:
        return self._spent_before + self.clock() - self._started

    def remaining_batches(self) -> Iterator[np.ndarray]:
        """Iterate over the batches of this epoch that have not been trained on yet."""
        batches = list(self.train.bucketed(self.settings.batch_size, np.random.default_rng((self.seed, self.epoch))))
        yield from batches[self.step_count % self.steps_per_epoch :]

    # Steps

    def step(self, indices: np.ndarray) -> Mapping[str, float]:
        """Take one optimizer step.

        The loss is in nats per sentence: cross-entropy summed over tokens, plus weighted KL summed over dimensions.

        Args:
            indices: the sentences of the batch, over all processes.

        Returns:
            Metrics every few steps, an empty mapping otherwise.

        Raises:
            NotLearnedError: the loss is not finite any more.
        """
        settings, fraction_done = self.settings, self.fraction_done
        self.model.train()
        torch.manual_seed(mixed_seed(self.seed, self.step_count))
        rng = np.random.default_rng((self.seed, self.step_count))
        # Every process builds the whole batch, then keeps its shard.
        whole = self.train.batch(indices, detail_B=genre_detail(rng, len(indices), settings.genre_dropout))
        shard = self.process_group.shard(len(indices))
        batch = (whole.rows(shard) if self.process_group.world_size > 1 else whole).to(self.device)
        noise = StepNoise(
            rows=len(indices),
            steps=len(whole.tokens_TB),
            shard=shard,
            dropout=settings.dropout,
            word_dropout=settings.word_dropout,
        )
        # The latent vector: the posterior mean in the autoencoder phase, a sample of the posterior afterwards.
        posterior = self.model.encode(batch)
        as_autoencoder = fraction_done < settings.autoencoder
        if not (as_autoencoder or self.decoder_was_reset):
            self._reset_decoder()
        z_BZ = posterior.mu if as_autoencoder else posterior.sample(noise.normal(posterior.mu))
        # The loss: each process has its summand; gradients and metrics are sums over processes.
        sample = None
        if self.sampler is not None and fraction_done < settings.exact_from:
            sample = self.sampler.draw(whole.tokens_TB[whole.tokens_TB != PAD_ID].to(self.device))
        cross_entropy = self.model.reconstruction(batch, z_BZ, noise=noise, sample=sample, bf16=self.bf16)
        reconstruction = cross_entropy / len(indices)
        beta = kl_weight(fraction_done, settings)
        kl_Z = self.process_group.all_reduce(posterior.kl_per_dimension().sum(dim=0)) / len(indices)
        loss = reconstruction + beta * free_kl(kl_Z, settings.free_nats) / self.process_group.world_size
        norm = self._update(loss, learning_rate=settings.learning_rate * learning_rate_factor(fraction_done))
        self.step_count += 1
        self._update_fraction_done()
        if self.step_count % _LOG_EVERY:
            return {}
        total = self.process_group.all_reduce(torch.stack((loss.detach(), reconstruction.detach()))).tolist()
        if not math.isfinite(total[0]):
            raise self._not_finite_error()
        return {
            "train.nats_per_token": total[1] * len(indices) / whole.num_tokens,
            "train.kl": float(kl_Z.detach().sum()),
            "train.beta": beta,
            "train.gradient_norm": float(norm),
        }

    def _update(self, loss: Tensor, *, learning_rate: float) -> Tensor:
        """Step down the clipped gradient and return the gradient's norm before clipping."""
        self.optimizer.param_groups[0]["lr"] = learning_rate
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        self.process_group.all_reduce_gradients(self.model.parameters())
        norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.settings.clip)
        self.optimizer.step()
        return norm

    def _reset_decoder(self) -> None:
        """Initialise the decoder again, since it was trained on noise-free z.

        The embeddings stay, because the encoder reads them too.
        """
        self.decoder_was_reset = True
        if self.settings.autoencoder == 0:
            return
        decoder = self.model.decoder
        for module in (decoder.initial_state, decoder.lstm, decoder.projection):
            module.reset_parameters()
            for parameter in module.parameters():
                self.optimizer.state.pop(parameter, None)

    # Held-out scores

    def score(self, valid: EncodedSentences) -> dict[str, float]:
        """Score the model on held-out sentences and add the scores to `held_out`.

        Returns:
            Metrics by name.

        Raises:
            NotLearnedError: the scores are not finite.
        """
        scores: dict[str, float] = {}
        if self.process_group.is_main:
            scored = score_cvae(self.model, valid, batch_size=self.settings.batch_size, device=self.device)
            scores = scored.metrics("valid")
        scores = self.process_group.broadcast_object(scores)
        if not math.isfinite(scores["valid.elbo"]):
            raise self._not_finite_error()
        plain = {name.removeprefix("valid."): value for name, value in scores.items()}
        self.held_out.append(HeldOutPoint.of(plain, seconds=self._spent(), step=self.step_count))
        return {**scores, "train.seconds": self._spent()}

    def _not_finite_error(self) -> NotLearnedError:
        return NotLearnedError(
            f"the CVAE's loss is not finite any more at step {self.step_count} (epoch {self.epoch + 1}); lower "
            f"cvae.learning_rate ({self.settings.learning_rate:g}) or cvae.clip ({self.settings.clip:g}); "
            "the last good checkpoint is kept"
        )

    # Checkpoints

    def save(self, path: Path) -> None:
        """Write a checkpoint of everything that the next step depends on; only rank 0 writes.

        Raises:
            NotLearnedError: a weight is not finite; the previous checkpoint stays.
            OutputError: the checkpoint cannot be written.
        """
        if not self.process_group.is_main:
            return
        if not all(bool(torch.isfinite(parameter).all()) for parameter in self.model.parameters()):
            raise self._not_finite_error()
        # The keys are a file format: checkpoints of earlier versions are resumed.
        state = {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "done": self.step_count,
            "decoder_is_new": self.decoder_was_reset,
            "spent": self._spent(),
            "held_out": [point.document() for point in self.held_out],
            "told": self._fingerprint(),
        }
        # In memory first: torch.save to a full disk raises an error that does not name the cause.
        packed = io.BytesIO()
        torch.save(state, packed)
        with atomic_path(path) as partial:
            partial.write_bytes(packed.getbuffer())

    def resume(self, path: Path) -> None:
        """Continue from a checkpoint if there is one.

        Raises:
            CheckpointError: the checkpoint cannot be read, or belongs to a training with other settings.
        """
        try:
            # Rank 0 reads for all: the others may be on hosts without the file.
            exists = self.process_group.is_main and path.exists()
            packed = self.process_group.broadcast_object(path.read_bytes() if exists else None)
            if packed is None:
                return
            state = torch.load(io.BytesIO(packed), weights_only=True, map_location="cpu")
            self._check_fingerprint(path, state.get("told", {}))
            self.model.load_state_dict(state["model"])
            self.optimizer.load_state_dict(state["optimizer"])
            self.step_count, self.decoder_was_reset = int(state["done"]), bool(state["decoder_is_new"])
            self._spent_before = float(state["spent"])
            # Checkpoints of earlier versions have no curve: it begins here.
            self.held_out = [HeldOutPoint.from_document(point) for point in state.get("held_out", [])]
            self._update_fraction_done()
        except _UNREADABLE as cause:
            raise CheckpointError(
                f"the checkpoint {path} cannot be read ({type(cause).__name__}); remove it, or train with --no-resume"
            ) from cause

    def _fingerprint(self) -> dict[str, Any]:
        """Everything besides the sentences that determines the steps."""
        config = self.model.decoder.config
        sizes = {"vocabulary_size": config.vocabulary_size, "num_genres": config.num_genres}
        return {"seed": self.seed, "sentences": len(self.train), **sizes, **asdict(self.settings)}

    def _check_fingerprint(self, path: Path, saved: Mapping[str, Any]) -> None:
        now = self._fingerprint()
        other = [f"{name} {value}, not {now[name]}" for name, value in saved.items() if now.get(name, value) != value]
        if other:
            raise CheckpointError(
                f"the checkpoint {path} belongs to a training with {'; '.join(other)}; use the same settings again, "
                "remove the checkpoint, or train with --no-resume"
            )
