"""One CVAE training under way: its steps, the schedule they follow, and the checkpoint that all of it fits into.

Every step seeds its own random numbers from (seed, step), so a training that was killed and goes on from its last
checkpoint takes the same steps as one that was not; and processes that share the rows of a batch take the same steps
as one that has them all.
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
from training.cvae.batches import COARSER_GENRES, NO_GENRES, OWN_GENRES, EncodedSentences
from training.cvae.held_out import HeldOutPoint
from training.cvae.model import Cvae
from training.cvae.noise import StepNoise, mixed_seed
from training.cvae.output_loss import VocabularySampler
from training.cvae.parallel import SINGLE_PROCESS, ProcessGroup
from training.cvae.scores import score_cvae
from training.errors import CheckpointError, NotLearnedError, SettingError
from training.files import atomic_path
from training.settings import CvaeSettings

Clock = Callable[[], float]

_LOG_EVERY: Final = 20
"""Steps between two points of a curve; in between nothing asks the device for a number."""
_UNREADABLE: Final = (
    OSError, EOFError, RuntimeError, pickle.UnpicklingError, KeyError, TypeError, ValueError, AttributeError
)  # fmt: skip
"""What torch and the parts of a training say of a file that is no checkpoint of theirs."""


@dataclass(slots=True, kw_only=True)
class CvaeLoop:
    """A training under way."""

    model: Cvae
    settings: CvaeSettings
    train: EncodedSentences
    seed: int
    device: str = "cpu"
    budget_s: float | None = None
    clock: Clock = time.monotonic
    bf16: bool = False
    process_group: ProcessGroup = SINGLE_PROCESS
    done: int = 0
    """Steps taken, those before an interruption included."""
    share: float = 0.0
    """Of the schedule that is done: of the steps or of the budget, whichever is further; the same for all process_group."""
    decoder_is_new: bool = False
    """Whether the decoder has started anew behind the autoencoder phase."""
    held_out: list[HeldOutPoint] = field(default_factory=list)
    """Scores so far, those before an interruption included."""
    optimizer: torch.optim.Optimizer = field(init=False)
    sampler: VocabularySampler | None = field(init=False, default=None)
    _started: float = field(init=False)
    _spent_before: float = field(init=False, default=0.0)

    def __post_init__(self) -> None:
        # One fused pass over all weights instead of a dozen.
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=self.settings.learning_rate, fused=True)
        if 0 < self.settings.sampled_vocabulary < self.model.decoder.config.vocabulary_size:
            counts_V = self.train.token_counts(self.model.decoder.config.vocabulary_size)
            self.sampler = VocabularySampler(counts_V, self.settings.sampled_vocabulary)
        smallest = len(self.train) // max(1, self.steps_per_epoch)
        if smallest < self.process_group.world_size:
            raise SettingError(
                f"batches of {smallest} sentences have no row for some of {self.process_group.world_size} processes; start fewer "
                f"with torchrun, or raise cvae.batch_size ({self.settings.batch_size})"
            )
        self._started = self.clock()
        self._update_progress()

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
    def over(self) -> bool:
        """Whether the schedule has ended."""
        return self.share >= 1

    def _update_progress(self) -> None:
        by_steps = self.done / (self.steps_per_epoch * self.settings.epochs)
        if self.budget_s is None:
            self.share = by_steps
        else:
            self.share = self.process_group.broadcast(max(by_steps, self._spent() / self.budget_s))

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
        settings, share = self.settings, self.share
        self.model.train()
        torch.manual_seed(mixed_seed(self.seed, self.done))
        rng = np.random.default_rng((self.seed, self.done))
        whole = self.train.batch(indices, detail_B=genre_detail(rng, len(indices), settings.genre_dropout))
        mine = self.process_group.shard(len(indices))
        batch = (whole.rows(mine) if self.process_group.world_size > 1 else whole).to(self.device)
        noise = StepNoise(
            rows=len(indices),
            steps=len(whole.tokens_TB),
            share=mine,
            dropout=settings.dropout,
            word_dropout=settings.word_dropout,
        )
        posterior = self.model.encode(batch)
        as_autoencoder = share < settings.autoencoder
        if not (as_autoencoder or self.decoder_is_new):
            self._reset_decoder()
        z_BZ = posterior.mu if as_autoencoder else posterior.sample(noise.normal(posterior.mu))
        part = None
        if self.sampler is not None and share < settings.exact_from:
            part = self.sampler.draw(whole.tokens_TB[whole.tokens_TB != PAD_ID].to(self.device))
        reconstruction = self.model.reconstruction(batch, z_BZ, noise=noise, part=part, bf16=self.bf16) / len(indices)
        beta = 0.0 if as_autoencoder else _beta(share, settings)
        # Each process's share of the loss; gradients and figures are sums over processes.
        kl_Z = self.process_group.all_reduce(posterior.kl_BZ().sum(dim=0)) / len(indices)
        loss = reconstruction + beta * free_kl(kl_Z, settings.free_nats) / self.process_group.world_size
        norm = self._update(loss, learning_rate=settings.learning_rate * _decay(share))
        self.done += 1
        self._update_progress()
        if self.done % _LOG_EVERY:
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
        """Move the weights against the gradient, which is clipped; the gradient's norm before that."""
        self.optimizer.param_groups[0]["lr"] = learning_rate
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        self.process_group.all_reduce_gradients(self.model.parameters())
        norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.settings.clip)
        self.optimizer.step()
        return norm

    def score(self, valid: EncodedSentences) -> dict[str, float]:
        """Figures of the model as it is, on held-out sentences.

        Raises:
            NotLearnedError: they are no numbers.
        """
        scores: dict[str, float] = {}
        if self.process_group.is_main:
            scored = score_cvae(self.model, valid, batch_size=self.settings.batch_size, device=self.device)
            scores = scored.metrics("valid")
        scores = self.process_group.broadcast_object(scores)
        if not math.isfinite(scores["valid.elbo"]):
            raise self._not_finite_error()
        plain = {name.removeprefix("valid."): value for name, value in scores.items()}
        self.held_out.append(HeldOutPoint.of(plain, seconds=self._spent(), step=self.done))
        return {**scores, "train.seconds": self._spent()}

    def _reset_decoder(self) -> None:
        """Throw away what the decoder learned beside noise-free z; embeddings, which the encoder reads too, stay."""
        self.decoder_is_new = True
        if self.settings.autoencoder == 0:
            return
        decoder = self.model.decoder
        for module in (decoder.initial_state, decoder.lstm, decoder.projection):
            module.reset_parameters()
            for parameter in module.parameters():
                self.optimizer.state.pop(parameter, None)

    def _not_finite_error(self) -> NotLearnedError:
        """What to say when the loss has left the numbers."""
        return NotLearnedError(
            f"the CVAE's loss is no number any more at step {self.done} (epoch {self.epoch + 1}); lower "
            f"cvae.learning_rate ({self.settings.learning_rate:g}) or cvae.clip ({self.settings.clip:g}); "
            "the last good checkpoint is kept"
        )

    # Checkpoints

    def save(self, path: Path) -> None:
        """Write everything that the next step depends on; the first of some processes does.

        Raises:
            NotLearnedError: some weight is no number; the checkpoint that is there stays.
            OutputError: it cannot be written.
        """
        if not self.process_group.is_main:
            return
        if not all(bool(torch.isfinite(parameter).all()) for parameter in self.model.parameters()):
            raise self._not_finite_error()
        state = {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "done": self.done,
            "decoder_is_new": self.decoder_is_new,
            "spent": self._spent(),
            "held_out": [point.document() for point in self.held_out],
            "told": self._fingerprint(),
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
        try:
            # The others may be on hosts that do not have the file.
            packed = self.process_group.broadcast_object(
                path.read_bytes() if self.process_group.is_main and path.exists() else None
            )
            if packed is None:
                return
            state = torch.load(io.BytesIO(packed), weights_only=True, map_location="cpu")
            self._check_fingerprint(path, state.get("told", {}))
            self.model.load_state_dict(state["model"])
            self.optimizer.load_state_dict(state["optimizer"])
            self.done, self.decoder_is_new = int(state["done"]), bool(state["decoder_is_new"])
            self._spent_before = float(state["spent"])
            # Checkpoints older than the curve go on without its beginning.
            self.held_out = [HeldOutPoint.from_document(point) for point in state.get("held_out", [])]
            self._update_progress()
        except _UNREADABLE as cause:
            raise CheckpointError(
                f"the checkpoint {path} cannot be read ({type(cause).__name__}); remove it, or train with --no-resume"
            ) from cause

    def _fingerprint(self) -> dict[str, Any]:
        """What decides how the steps turn out, beside the sentences."""
        config = self.model.decoder.config
        sizes = {"vocabulary_size": config.vocabulary_size, "num_genres": config.num_genres}
        return {"seed": self.seed, "sentences": len(self.train), **sizes, **asdict(self.settings)}

    def _check_fingerprint(self, path: Path, then: Mapping[str, Any]) -> None:
        now = self._fingerprint()
        other = [f"{name} {value}, not {now[name]}" for name, value in then.items() if now.get(name, value) != value]
        if other:
            raise CheckpointError(
                f"the checkpoint {path} is of a training with {'; '.join(other)}; ask for the same again, "
                "remove the checkpoint, or train with --no-resume"
            )


def genre_detail(rng: np.random.Generator, rows: int, dropout: float) -> np.ndarray:
    """What each row tells of its genres: a share of the rows nothing, as many the coarser genres, the others all.

    So the model writes without genres too, and knows the coarser ones that an unknown genre is brought down to.
    """
    drawn_B = rng.random(rows)
    return np.select([drawn_B < dropout, drawn_B < 2 * dropout], [NO_GENRES, COARSER_GENRES], OWN_GENRES)


def free_kl(kl_Z: Tensor, free_nats: float) -> Tensor:
    """KL per sentence in nats, with each dimension's batch mean [Z] counted only above its share of the free nats."""
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
