"""The conditional VAE: LSTM encoder q(z | x), and the decoder p(x | z, a) that the worker runs. Architecture only.

Shapes: B rows, T steps, V tokens, S sampled tokens of the vocabulary, E embedding, H hidden,
Z thought vector, A genre embedding, P real tokens of a batch.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from handlers.decoder import Decoder, DecoderConfig
from handlers.vocabulary import BOS_ID, PAD_ID, UNK_ID
from training.batches import Batch
from training.output_loss import VocabularySampler, linear_cross_entropy


@dataclass(frozen=True, slots=True, kw_only=True)
class Posterior:
    """q(z | x) = N(mu, diag exp(log_variance)), both [B, Z]."""

    mu: Tensor
    log_variance: Tensor

    def sample(self) -> Tensor:
        """One z per row, differentiable in mu and log_variance (Kingma and Welling 2014)."""
        return self.mu + torch.exp(0.5 * self.log_variance) * torch.randn_like(self.mu)

    def kl_BZ(self) -> Tensor:  # noqa: N802 - the shape suffix of the module's legend
        """KL(q(z | x) || N(0, I)) in nats, per row and dimension."""
        return 0.5 * (self.mu**2 + self.log_variance.exp() - 1 - self.log_variance)


class Cvae(nn.Module):
    """Encoder and decoder share the token embedding; only the decoder sees the genres."""

    def __init__(
        self, config: DecoderConfig, *, encoder_size: int = 0, dropout: float = 0.0, mu_scale: float = 0.0
    ) -> None:
        """Make the modules.

        Args:
            config: sizes.
            encoder_size: hidden size of the encoder; 0 for the decoder's.
            dropout: of the decoder's embeddings and outputs, in training.
            mu_scale: if positive, the posterior means are batch-normalised to this standard deviation in every
                dimension, which keeps KL above Z mu_scale^2 / 2 nats and every dimension in use (Zhu 2020,
                arXiv 2004.12585, with its gamma fixed).
        """
        super().__init__()
        self._mu_scale = mu_scale
        self.mu_norm = nn.BatchNorm1d(config.z_size, affine=False)
        self.mu_shift = nn.Parameter(torch.zeros(config.z_size))
        self.decoder = Decoder(config)
        encoder_size = encoder_size or config.hidden_size
        self.encoder_lstm = nn.LSTM(config.embedding_size, encoder_size)
        self.posterior_head = nn.Linear(encoder_size, 2 * config.z_size)
        self.dropout = nn.Dropout(dropout)

    def encode(self, batch: Batch) -> Posterior:
        """q(z | x) of each sentence."""
        # Undisturbed, as in the published recipes: dropout is there to keep the decoder from learning by heart.
        embedded_TBE = self.decoder.token_embedding(batch.tokens_TB)
        hidden_TBH, _ = self.encoder_lstm(embedded_TBE)
        rows = torch.arange(len(batch.lengths_B), device=hidden_TBH.device)
        # Behind its end mark a row reads padding, so its summary is the state at the mark.
        last_BH = hidden_TBH[batch.lengths_B - 1, rows]
        mu_BZ, log_variance_BZ = self.posterior_head(last_BH).chunk(2, dim=1)
        if self._mu_scale > 0:
            mu_BZ = self._mu_scale * self.mu_norm(mu_BZ) + self.mu_shift
        return Posterior(mu=mu_BZ, log_variance=log_variance_BZ.clamp(-10, 10))

    def reconstruction(
        self, batch: Batch, z_BZ: Tensor, *, word_dropout: float = 0.0, sampler: VocabularySampler | None = None
    ) -> Tensor:
        """-log p(x | z, a) in nats, summed over the batch's tokens: what a training step descends.

        Args:
            batch: the sentences.
            z_BZ: a thought vector per row.
            word_dropout: share of the decoder's inputs that are replaced by the unknown mark.
            sampler: estimates the softmax's normaliser on a part of the vocabulary; exact without it.
        """
        projected_PE, targets_P, _ = self._projected(batch, z_BZ, word_dropout)
        weight_VE, bias_V = self.decoder.token_embedding.weight, self.decoder.output_bias
        if sampler is None:
            return linear_cross_entropy(projected_PE, weight_VE, bias_V, targets_P)
        part = sampler.draw(targets_P)
        return linear_cross_entropy(
            projected_PE, weight_VE[part.tokens_S], bias_V[part.tokens_S] + part.raise_S, part.targets_P
        )

    def token_log_probs(self, batch: Batch, z_BZ: Tensor) -> tuple[Tensor, Tensor]:
        """Log-probability in nats of every real token given those before it.

        Args:
            batch: the sentences.
            z_BZ: a thought vector per row.

        Returns:
            log-probabilities [P] and the row of each [P].
        """
        projected_PE, targets_P, rows_P = self._projected(batch, z_BZ, 0.0)
        logits_PV = self.decoder.logits(projected_PE)
        return -nn.functional.cross_entropy(logits_PV, targets_P, reduction="none"), rows_P

    def _projected(self, batch: Batch, z_BZ: Tensor, word_dropout: float) -> tuple[Tensor, Tensor, Tensor]:
        """Decoder outputs before the vocabulary product at real tokens [P, E], the tokens [P] and their rows [P]."""
        targets_TB = batch.tokens_TB
        inputs_TB = torch.cat((torch.full_like(targets_TB[:1], BOS_ID), targets_TB[:-1]))
        if word_dropout > 0:
            dropped_TB = torch.rand(inputs_TB.shape, device=inputs_TB.device) < word_dropout
            inputs_TB = torch.where(dropped_TB & (inputs_TB != BOS_ID), UNK_ID, inputs_TB)
        genres_BA = self.decoder.embed_genres(batch.genres_G, batch.offsets_B)
        inputs_TBE = self.dropout(self.decoder.token_embedding(inputs_TB))
        projected_TBE = self.decoder(inputs_TBE, torch.cat((z_BZ, genres_BA), dim=1))
        # Only real tokens reach the vocabulary product, the largest of all.
        real_TB = targets_TB != PAD_ID
        return self.dropout(projected_TBE[real_TB]), targets_TB[real_TB], real_TB.nonzero()[:, 1]
