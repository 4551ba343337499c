"""GAN trainer: losses and optimizer steps of the LC-GAN's generator and discriminator.

The losses follow Engel, Hoffman and Roberts 2017 (arXiv 1711.05772), with a topic predictor in place of their attribute
discriminator, and a diversity loss.

Shapes: N labelled vectors, B rows of a batch, Z latent vector, A genre embedding, K topics.
"""

from __future__ import annotations

from typing import Any, Final

import torch
from torch import Tensor, nn

from handlers.model.generator import Generator, GeneratorConfig
from training.lcgan.acceptance import Reward
from training.lcgan.labels import LabelledVectors
from training.lcgan.networks import Discriminator, TopicPredictor
from training.lcgan.predictor import refresh_predictor
from training.settings import LcganSettings

_MAX_DIVERSITY_WEIGHT: Final = 64.0
_CRITIC_STEPS_BEFORE: Final = 200
"""Steps of the discriminator before the first of a generator that was trained before."""
_ADAM_BETAS: Final = (0.0, 0.9)


class GanTrainer:
    """Generator and discriminator with their training data; each loss draws its own batch."""

    def __init__(
        self,
        data: LabelledVectors,
        predictor: TopicPredictor,
        settings: LcganSettings,
        reward: Reward | None = None,
        start: Generator | None = None,
    ) -> None:
        self.settings = settings
        self.diversity_weight = settings.diversity_weight
        self._data = data
        self._predictor = predictor
        self._reward = reward
        self._device = data.z_NZ.device
        self._num_topics = data.topics_NK.shape[1]
        z_size, genre_size = data.z_NZ.shape[1], data.genres_NA.shape[1]
        sizes: dict[str, Any] = {"hidden_size": settings.hidden_size, "num_layers": settings.num_layers}
        config = GeneratorConfig(z_size=z_size, genre_size=genre_size, num_topics=self._num_topics, **sizes)
        self.generator = Generator(config).to(self._device)
        if start is not None:
            self.generator.load_state_dict(start.state_dict())
        self.discriminator = Discriminator(z_size, genre_size, self._num_topics, **sizes).to(self._device)
        self._generator_optimizer = torch.optim.Adam(
            self.generator.parameters(), lr=settings.learning_rate, betas=_ADAM_BETAS
        )
        self._discriminator_optimizer = torch.optim.Adam(
            self.discriminator.parameters(), lr=settings.learning_rate, betas=_ADAM_BETAS
        )
        self._encoded_indices = data.encoded_N.nonzero().squeeze(1)
        self._main_topic_NK = nn.functional.one_hot(data.topics_NK.argmax(dim=1), self._num_topics).float()
        self._mean_topic_K = data.topics_NK.mean(dim=0)
        self._rarity_target = float(data.rarity_N.mean())
        self._snapshot: dict[str, Tensor] | None = None
        for _ in range(_CRITIC_STEPS_BEFORE if start is not None else 0):
            _update(self._discriminator_optimizer, self.discriminator_loss())

    def step(self) -> dict[str, Tensor]:
        """Update the discriminator `critic_steps` times and the generator once; return the losses before the update."""
        for _ in range(self.settings.critic_steps):
            discriminator_loss = self.discriminator_loss()
            _update(self._discriminator_optimizer, discriminator_loss)
        losses = self.generator_losses()
        settings = self.settings
        total = (
            settings.realism_weight * losses["realism"]
            + settings.topic_weight * losses["topic"]
            + settings.distance_weight * losses["distance"]
            + self.diversity_weight * losses["diversity"]
        )
        if self._reward is not None:
            total = total + self._reward.weight * losses["acceptance"]
        _update(self._generator_optimizer, total)
        tracked = {f"generator.{name}": value.detach() for name, value in losses.items()}
        return {**tracked, "generator.loss": total.detach(), "discriminator.loss": discriminator_loss.detach()}

    def discriminator_loss(self) -> Tensor:
        """Loss of the discriminator D(z, a, y), with a gradient penalty.

        Real: encoded z with the topic of their decoded sentence. Fake: the same z with a shuffled topic, shifted z,
        and (a tenth) z of the prior.
        """
        indices = self._encoded_indices[self._randint(len(self._encoded_indices))]
        z_BZ, genres_BA, topic_BK = (
            self._data.z_NZ[indices],
            self._data.genres_NA[indices],
            self._main_topic_NK[indices],
        )
        shuffled_BK = topic_BK[torch.randperm(len(indices), device=self._device)]
        fake_BZ = self._fakes(z_BZ, genres_BA, shuffled_BK)
        real = nn.functional.softplus(-self.discriminator(z_BZ, genres_BA, topic_BK)).mean()
        fake = nn.functional.softplus(self.discriminator(fake_BZ, genres_BA, shuffled_BK)).mean()
        # A row whose shuffled topic equals its own is not a fake.
        wrong_B = (shuffled_BK != topic_BK).any(dim=1).float()
        mismatched_B = nn.functional.softplus(self.discriminator(z_BZ, genres_BA, shuffled_BK)) * wrong_B
        mismatched = mismatched_B.sum() / wrong_B.sum().clamp_min(1.0)
        penalty = self._gradient_penalty(z_BZ, fake_BZ, genres_BA, topic_BK)
        loss: Tensor = real + fake + mismatched + self.settings.gradient_penalty * penalty
        return loss

    def generator_losses(self) -> dict[str, Tensor]:
        """Unweighted terms of the generator's loss, and the Euclidean distance `moved`, which is only tracked."""
        indices = self._randint(len(self._data))
        z_BZ, genres_BA = self._data.z_NZ[indices], self._data.genres_NA[indices]
        target_BK = nn.functional.one_hot(self._randint(self._num_topics), self._num_topics).float()
        shifted_BZ = self.generator(z_BZ, genres_BA, target_BK)
        log_share_BK, rarity_B = self._predictor(shifted_BZ, genres_BA)
        losses = {
            "realism": nn.functional.softplus(-self.discriminator(shifted_BZ, genres_BA, target_BK)).mean(),
            "topic": self._topic_divergence(target_BK, log_share_BK),
            "distance": (torch.log1p((shifted_BZ - z_BZ) ** 2) / self._data.sigma_Z**2).mean(),
            "diversity": self._rarity_shortfall(target_BK, rarity_B) + self._spread_loss(z_BZ, shifted_BZ, target_BK),
            "moved": (shifted_BZ - z_BZ).norm(dim=1).mean(),
        }
        if self._reward is not None:
            losses["acceptance"] = self._reward.loss(shifted_BZ, genres_BA)
        return losses

    def set_rarity_target(self, rarity: float) -> None:
        """Set the mean rarity of word pairs below which the diversity loss is positive."""
        self._rarity_target = rarity

    def refit_predictor(self, fresh: LabelledVectors) -> None:
        """Fit the predictors to labelled vectors that the generator shifted, and add them to the training data."""
        refresh_predictor(self._predictor, self._data, fresh, self.settings)
        if self._reward is not None:
            self._reward.refit(self._data, fresh, self.settings)
        self._data = self._data.concatenated(fresh)
        fresh_NK = nn.functional.one_hot(fresh.topics_NK.argmax(dim=1), self._num_topics).float()
        self._main_topic_NK = torch.cat((self._main_topic_NK, fresh_NK))

    def update_diversity_weight(self, ratio: float) -> None:
        """Raise the weight of the diversity loss if decoded sentences are less diverse than the floor, or lower it."""
        factor = 1.5 if ratio < self.settings.diversity_floor else 0.75
        self.diversity_weight = min(self.diversity_weight * factor, _MAX_DIVERSITY_WEIGHT)

    def snapshot(self) -> None:
        """Keep a copy of the generator's weights."""
        self._snapshot = {name: tensor.clone() for name, tensor in self.generator.state_dict().items()}

    def restore(self) -> bool:
        """Load the weights of the last snapshot into the generator; return False without a snapshot."""
        if self._snapshot is None:
            return False
        self.generator.load_state_dict(self._snapshot)
        return True

    def _topic_divergence(self, target_BK: Tensor, log_share_BK: Tensor) -> Tensor:
        """KL(y' || T), where y' gives `target_share` to the target topic and divides the rest as the labels do."""
        share = self.settings.target_share
        rest_BK = (1 - target_BK) * self._mean_topic_K
        soft_BK = share * target_BK + (1 - share) * rest_BK / rest_BK.sum(dim=1, keepdim=True).clamp_min(1e-9)
        entropy_BK = -torch.xlogy(soft_BK, soft_BK)
        return (-soft_BK * log_share_BK - entropy_BK).sum(dim=1).mean()

    def _rarity_shortfall(self, target_BK: Tensor, rarity_B: Tensor) -> Tensor:
        """Shortfall of each target topic's mean rarity against the target, in standard deviations, averaged.

        The mean is taken over the rows of a topic, so a stock phrase costs nothing while other rows are rarer.
        """
        count_K = target_BK.sum(dim=0)
        mean_K = (target_BK.T @ rarity_B) / count_K.clamp_min(1.0)
        shortfall_K = nn.functional.relu(self._rarity_target - mean_K) * (count_K > 0)
        return shortfall_K.mean() / self._predictor.rarity_scale

    def _spread_loss(self, z_BZ: Tensor, shifted_BZ: Tensor, target_BK: Tensor) -> Tensor:
        """Loss of spread within a target topic: mean of log(sigma / sigma') where the shift made sigma smaller."""
        # Deviations from the centre of each topic's rows: a shift common to all of them is free.
        count_K1 = target_BK.sum(dim=0).clamp_min(1.0).unsqueeze(1)
        variances = []
        for each_BZ in (z_BZ, shifted_BZ):
            centre_KZ = (target_BK.T @ each_BZ) / count_K1
            variances.append(((each_BZ - target_BK @ centre_KZ) ** 2).mean(dim=0))
        before_Z, after_Z = variances
        return 0.5 * nn.functional.relu(torch.log(before_Z + 1e-6) - torch.log(after_Z + 1e-6)).mean()

    @torch.no_grad()
    def _fakes(self, z_BZ: Tensor, genres_BA: Tensor, target_BK: Tensor) -> Tensor:
        """Generator output for encoded and prior z in equal parts, with a tenth of the rows replaced by prior z."""
        noise_BZ = torch.randn_like(z_BZ)
        from_encoder_B1 = self._chance(len(z_BZ), 0.5)
        shifted_BZ = self.generator(torch.where(from_encoder_B1, z_BZ, noise_BZ), genres_BA, target_BK)
        return torch.where(self._chance(len(z_BZ), 0.1), noise_BZ, shifted_BZ)

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
        return torch.randint(below, (self.settings.batch_size,), device=self._device)

    def _chance(self, rows: int, probability: float) -> Tensor:
        return torch.rand(rows, 1, device=self._device) < probability


def _update(optimizer: torch.optim.Optimizer, loss: Tensor) -> None:
    optimizer.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
    optimizer.step()
