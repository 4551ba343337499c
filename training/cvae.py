"""The conditional VAE: LSTM encoder q(z | x), and the decoder p(x | z, a) that the worker runs. Architecture only.

Shapes: B rows, T steps, V tokens, E embedding, H hidden, Z thought vector, A genre embedding, P real tokens of a batch.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from handlers.decoder import Decoder, DecoderConfig
from handlers.vocabulary import BOS_ID, PAD_ID, UNK_ID
from training.batches import Batch


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

    def __init__(self, config: DecoderConfig, *, dropout: float = 0.0, mu_scale: float = 0.0) -> None:
        """Make the modules.

        Args:
            config: sizes.
            dropout: of embeddings and outputs, in training.
            mu_scale: if positive, the posterior means are batch-normalised to this standard deviation in every
                dimension, which keeps KL above Z mu_scale^2 / 2 nats and every dimension in use (Zhu 2020,
                arXiv 2004.12585, with its gamma fixed).
        """
        super().__init__()
        self._mu_scale = mu_scale
        self.mu_norm = nn.BatchNorm1d(config.z_size, affine=False)
        self.mu_shift = nn.Parameter(torch.zeros(config.z_size))
        self.decoder = Decoder(config)
        self.encoder_lstm = nn.LSTM(config.embedding_size, config.hidden_size)
        self.posterior_head = nn.Linear(config.hidden_size, 2 * config.z_size)
        self.dropout = nn.Dropout(dropout)

    def encode(self, batch: Batch) -> Posterior:
        """q(z | x) of each sentence."""
        embedded_TBE = self.dropout(self.decoder.token_embedding(batch.tokens_TB))
        hidden_TBH, _ = self.encoder_lstm(embedded_TBE)
        rows = torch.arange(len(batch.lengths_B), device=hidden_TBH.device)
        # Behind its end mark a row reads padding, so its summary is the state at the mark.
        last_BH = hidden_TBH[batch.lengths_B - 1, rows]
        mu_BZ, log_variance_BZ = self.posterior_head(last_BH).chunk(2, dim=1)
        if self._mu_scale > 0:
            mu_BZ = self._mu_scale * self.mu_norm(mu_BZ) + self.mu_shift
        return Posterior(mu=mu_BZ, log_variance=log_variance_BZ.clamp(-10, 10))

    def token_log_probs(self, batch: Batch, z_BZ: Tensor, *, word_dropout: float = 0.0) -> tuple[Tensor, Tensor]:
        """Log-probability in nats of every real token given those before it.

        Args:
            batch: the sentences.
            z_BZ: a thought vector per row.
            word_dropout: share of the decoder's inputs that are replaced by the unknown mark.

        Returns:
            log-probabilities [P] and the row of each [P].
        """
        targets_TB = batch.tokens_TB
        inputs_TB = torch.cat((torch.full_like(targets_TB[:1], BOS_ID), targets_TB[:-1]))
        if word_dropout > 0:
            dropped_TB = torch.rand(inputs_TB.shape, device=inputs_TB.device) < word_dropout
            inputs_TB = torch.where(dropped_TB & (inputs_TB != BOS_ID), UNK_ID, inputs_TB)
        genres_BA = self.decoder.embed_genres(batch.genres_G, batch.offsets_B)
        inputs_TBE = self.dropout(self.decoder.token_embedding(inputs_TB))
        projected_TBE = self.decoder(inputs_TBE, torch.cat((z_BZ, genres_BA), dim=1))
        real_TB = targets_TB != PAD_ID
        # Only real tokens reach the vocabulary product, the largest of all.
        logits_PV = self.decoder.logits(self.dropout(projected_TBE[real_TB]))
        log_prob_P = -nn.functional.cross_entropy(logits_PV, targets_TB[real_TB], reduction="none")
        rows_P = real_TB.nonzero()[:, 1]
        return log_prob_P, rows_P
