"""LC-GAN training: labelled thought vectors, a topic predictor that must beat a constant, then generator against both.

Engel, Hoffman and Roberts 2017 (arXiv 1711.05772), with topics of *decoded* sentences as labels: what matters is what
the decoder makes of a z, not what the sentence that z came from was about.

Shapes: N labelled rows, B rows of a step, Z thought vector, A genre embedding, K topics.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from torch import Tensor, nn

from handlers.bundle import Bundle
from handlers.engine import Engine, Row
from handlers.generator import Generator, GeneratorConfig
from handlers.sampler import derive_seed
from training.batches import EncodedSentences
from training.cvae import Cvae
from training.errors import NotLearnedError
from training.lcgan import Discriminator, TopicPredictor
from training.presets import LcganSettings
from training.progress import Progress
from training.tracker import Run

_LEAST_EXPLAINED: Final = 0.03
"""On labels of pure noise, the best of a dozen epochs was seen to explain up to .02 by luck."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelledVectors:
    """Thought vectors with the topics of the sentences that the decoder made of them."""

    z_NZ: Tensor
    genres_NA: Tensor
    topics_NK: Tensor
    """Topic shares; rows sum to 1."""
    encoded_N: Tensor
    """Whether z came from the encoder (a real sentence) or from the prior."""
    sigma_Z: Tensor
    """Mean posterior standard deviation of each dimension."""

    def __len__(self) -> int:
        return len(self.z_NZ)


@torch.no_grad()
def label_vectors(
    model: Cvae, bundle: Bundle, train: EncodedSentences, count: int, *, seed: int, device: str, progress: Progress
) -> LabelledVectors:
    """Decode thought vectors, half from the encoder and half from the prior, and read off their topics.

    Genres are those of the sentences drawn, so they come as often as in the corpus.
    """
    engine = Engine(bundle, device=device)
    chosen = np.random.default_rng(seed).choice(len(train), size=count)
    encoded_N = torch.arange(count) % 2 == 0
    parts: list[tuple[Tensor, Tensor, Tensor, Tensor]] = []
    for start in range(0, count, 512):
        part = chosen[start : start + 512]
        batch = train.batch(part).to(device)
        posterior = model.encode(batch)
        rows = [Row(genres=train.genres_of(index), seed=derive_seed(seed, start + i)) for i, index in enumerate(part)]
        from_encoder_B1 = encoded_N[start : start + 512].unsqueeze(1).to(device)
        z_BZ = torch.where(from_encoder_B1, posterior.sample(), engine.thought_vectors(rows))
        texts = [bundle.vocabulary.decode(each.ids) for each in engine.decode(rows, z_BZ)]
        sigma_BZ = torch.exp(0.5 * posterior.log_variance)
        parts.append((z_BZ, engine.embed_genres(rows), bundle.topics.shares(texts).to(device), sigma_BZ))
        progress(start + len(part), count, "labelled samples")
    z_NZ, genres_NA, topics_NK, sigma_NZ = (torch.cat(tensors).clone() for tensors in zip(*parts, strict=True))
    return LabelledVectors(
        z_NZ=z_NZ,
        genres_NA=genres_NA,
        topics_NK=topics_NK,
        encoded_N=encoded_N.to(device),
        sigma_Z=sigma_NZ.mean(dim=0),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class PredictorScores:
    """Cross-entropy in nats against the held-out labels."""

    predictor: float
    constant: float
    """The best constant's: the mean of the training labels."""
    entropy: float
    """Of the labels themselves: the floor."""

    @property
    def explained(self) -> float:
        """Share of what a constant leaves open that the predictor explains; 0 is no better, 1 is perfect."""
        return (self.constant - self.predictor) / max(self.constant - self.entropy, 1e-9)


def train_predictor(
    data: LabelledVectors, settings: LcganSettings, *, seed: int, run: Run
) -> tuple[TopicPredictor, PredictorScores]:
    """Fit the topic predictor and hold it against a constant on a tenth of the labels.

    Raises:
        NotLearnedError: it is hardly better than the constant: z says next to nothing about the topic of what is
            decoded from it.
    """
    torch.manual_seed(seed)
    held = max(1, len(data) // 10)
    predictor = TopicPredictor(
        data.z_NZ.shape[1],
        data.genres_NA.shape[1],
        data.topics_NK.shape[1],
        hidden_size=settings.hidden_size,
        num_layers=settings.num_layers,
    ).to(data.z_NZ.device)
    optimizer = torch.optim.AdamW(predictor.parameters(), lr=settings.learning_rate, weight_decay=0.05)
    best, best_state, scores = np.inf, predictor.state_dict(), None
    for epoch in range(settings.predictor_epochs):
        for rows in torch.split(held + torch.randperm(len(data) - held), settings.batch_size):
            log_share = predictor(data.z_NZ[rows], data.genres_NA[rows])
            loss = -(data.topics_NK[rows] * log_share).sum(dim=1).mean()
            _update(optimizer, loss)
        scores = _score_predictor(predictor, data, held)
        run.log_metrics({"predictor.valid_nats": scores.predictor}, step=epoch)
        if scores.predictor < best:
            best, best_state = scores.predictor, {key: value.clone() for key, value in predictor.state_dict().items()}
    predictor.load_state_dict(best_state)
    final = _score_predictor(predictor, data, held)
    # The best epoch was picked by these same labels, so a little better than a constant may be luck.
    if not final.explained > _LEAST_EXPLAINED:
        raise NotLearnedError(
            f"the topic predictor ({final.predictor:.3f} nats on held-out samples) hardly beats a constant "
            f"({final.constant:.3f}): the decoder's topics do not depend on z. Train the CVAE longer, raise "
            "cvae.mu_scale, or give more lcgan.num_samples"
        )
    return predictor.requires_grad_(requires_grad=False), final


@torch.no_grad()
def _score_predictor(predictor: TopicPredictor, data: LabelledVectors, held: int) -> PredictorScores:
    labels_BK = data.topics_NK[:held]
    constant_K = data.topics_NK[held:].mean(dim=0).clamp_min(1e-9).log()
    log_share_BK = predictor(data.z_NZ[:held], data.genres_NA[:held])
    return PredictorScores(
        predictor=float(-(labels_BK * log_share_BK).sum(dim=1).mean()),
        constant=float(-(labels_BK * constant_K).sum(dim=1).mean()),
        entropy=float(-(labels_BK * labels_BK.clamp_min(1e-9).log()).sum(dim=1).mean()),
    )


def train_generator(
    data: LabelledVectors,
    predictor: TopicPredictor,
    settings: LcganSettings,
    *,
    seed: int,
    run: Run,
    progress: Progress,
    budget_s: float | None = None,
) -> Generator:
    """Train the generator against the discriminator (realism), the predictor (topic) and distance.

    Loss of G: -log D(z', a, y) + topic_weight * KL(y || T(z', a)) + distance_weight * mean(log(1 + (z' - z)^2) /
    sigma^2), with y a one-hot topic drawn evenly, so KL is -log T_y, which 0 bounds from below.
    """
    torch.manual_seed(seed + 1)
    game = _Game(data, predictor, settings)
    betas = (0.0, 0.9)
    generator_optimizer = torch.optim.Adam(game.generator.parameters(), lr=settings.learning_rate, betas=betas)
    critic_optimizer = torch.optim.Adam(game.discriminator.parameters(), lr=settings.learning_rate, betas=betas)
    started = time.monotonic()
    for step in range(settings.steps):
        if budget_s is not None and time.monotonic() - started > budget_s:
            break
        for _ in range(settings.critic_steps):
            critic_loss = game.critic_loss()
            _update(critic_optimizer, critic_loss)
        losses = game.generator_losses()
        _update(
            generator_optimizer,
            losses["realism"] + settings.topic_weight * losses["topic"] + settings.distance_weight * losses["distance"],
        )
        if step % 25 == 0 or step + 1 == settings.steps:
            tracked = {f"generator.{name}": float(value.detach()) for name, value in losses.items()}
            run.log_metrics({**tracked, "discriminator.loss": float(critic_loss.detach())}, step=step)
            progress(step + 1, settings.steps, f"topic loss {tracked['generator.topic']:.2f}")
    return game.generator.eval().requires_grad_(requires_grad=False)


class _Game:
    """Generator and discriminator with the data they play on; each loss draws rows of its own."""

    def __init__(self, data: LabelledVectors, predictor: TopicPredictor, settings: LcganSettings) -> None:
        self._data = data
        self._predictor = predictor
        self._settings = settings
        self._device = data.z_NZ.device
        self._num_topics = data.topics_NK.shape[1]
        z_size, genre_size = data.z_NZ.shape[1], data.genres_NA.shape[1]
        hidden_size, num_layers = settings.hidden_size, settings.num_layers
        self.generator = Generator(
            GeneratorConfig(
                z_size=z_size,
                genre_size=genre_size,
                num_topics=self._num_topics,
                hidden_size=hidden_size,
                num_layers=num_layers,
            )
        ).to(self._device)
        self.discriminator = Discriminator(
            z_size, genre_size, self._num_topics, hidden_size=hidden_size, num_layers=num_layers
        ).to(self._device)
        self._real_rows = data.encoded_N.nonzero().squeeze(1)
        self._main_topic_NK = nn.functional.one_hot(data.topics_NK.argmax(dim=1), self._num_topics).float()

    def critic_loss(self) -> Tensor:
        """Encoded z with its topic is real; the same with a shuffled topic, G's z and (a tenth) the prior's are not."""
        rows = self._real_rows[self._randint(len(self._real_rows))]
        z_BZ, genres_BA, topic_BK = self._data.z_NZ[rows], self._data.genres_NA[rows], self._main_topic_NK[rows]
        wanted_BK = topic_BK[torch.randperm(len(rows), device=self._device)]
        fake_BZ = self._fakes(z_BZ, genres_BA, wanted_BK)
        real = nn.functional.softplus(-self.discriminator(z_BZ, genres_BA, topic_BK)).mean()
        fake = nn.functional.softplus(self.discriminator(fake_BZ, genres_BA, wanted_BK)).mean()
        # A shuffled topic that happens to be the right one is no counterexample.
        wrong_B = (wanted_BK != topic_BK).any(dim=1).float()
        shuffled_B = nn.functional.softplus(self.discriminator(z_BZ, genres_BA, wanted_BK)) * wrong_B
        shuffled = shuffled_B.sum() / wrong_B.sum().clamp_min(1.0)
        penalty = self._gradient_penalty(z_BZ, fake_BZ, genres_BA, topic_BK)
        loss: Tensor = real + fake + shuffled + self._settings.gradient_penalty * penalty
        return loss

    def generator_losses(self) -> dict[str, Tensor]:
        """The parts of G's loss, and how far it moves z (Euclidean, for the record only)."""
        rows = self._randint(len(self._data))
        z_BZ, genres_BA = self._data.z_NZ[rows], self._data.genres_NA[rows]
        target_BK = nn.functional.one_hot(self._randint(self._num_topics), self._num_topics).float()
        moved_BZ = self.generator(z_BZ, genres_BA, target_BK)
        return {
            "realism": nn.functional.softplus(-self.discriminator(moved_BZ, genres_BA, target_BK)).mean(),
            "topic": -(target_BK * self._predictor(moved_BZ, genres_BA)).sum(dim=1).mean(),
            "distance": (torch.log1p((moved_BZ - z_BZ) ** 2) / self._data.sigma_Z**2).mean(),
            "moved": (moved_BZ - z_BZ).norm(dim=1).mean(),
        }

    @torch.no_grad()
    def _fakes(self, z_BZ: Tensor, genres_BA: Tensor, wanted_BK: Tensor) -> Tensor:
        """G of encoded and of prior z, in equal parts, and a tenth of prior z as it is."""
        noise_BZ = torch.randn_like(z_BZ)
        from_encoder_B1 = self._chance(len(z_BZ), 0.5)
        moved_BZ = self.generator(torch.where(from_encoder_B1, z_BZ, noise_BZ), genres_BA, wanted_BK)
        return torch.where(self._chance(len(z_BZ), 0.1), noise_BZ, moved_BZ)

    def _gradient_penalty(self, real_BZ: Tensor, fake_BZ: Tensor, genres_BA: Tensor, topic_BK: Tensor) -> Tensor:
        """Mean of (|gradient of D| - 1)^2 between real and fake (Gulrajani 2017, arXiv 1704.00028, equation 3)."""
        share_B1 = torch.rand(len(real_BZ), 1, device=self._device)
        between_BZ = (share_B1 * real_BZ + (1 - share_B1) * fake_BZ).requires_grad_()
        (gradient_BZ,) = torch.autograd.grad(
            self.discriminator(between_BZ, genres_BA, topic_BK).sum(), between_BZ, create_graph=True
        )
        penalty: Tensor = ((gradient_BZ.norm(dim=1) - 1) ** 2).mean()
        return penalty

    def _randint(self, below: int) -> Tensor:
        return torch.randint(below, (self._settings.batch_size,), device=self._device)

    def _chance(self, rows: int, probability: float) -> Tensor:
        return torch.rand(rows, 1, device=self._device) < probability


def _update(optimizer: torch.optim.Optimizer, loss: Tensor) -> None:
    optimizer.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
    optimizer.step()


def genre_rows(train: EncodedSentences, count: int, *, seed: int) -> Sequence[Row]:
    """Rows with genres as in the corpus, each with a seed of its own: the same for all models that are compared."""
    chosen = np.random.default_rng(seed).choice(len(train), size=count)
    return [Row(genres=train.genres_of(index), seed=derive_seed(seed, number)) for number, index in enumerate(chosen)]
