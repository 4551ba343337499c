"""Architecture of the CVAE: an LSTM encoder q(z | x), and the decoder p(x | z, a) that the worker runs.

Shapes: B rows, T steps, V tokens, S sampled tokens of the vocabulary, E embedding, H hidden,
Z latent vector, G genres, A genre embedding, C = Z + A context <z, a>, Y = 2 Z, P real tokens of a batch.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from handlers.model.decoder import Decoder, DecoderConfig
from handlers.model.vocabulary import BOS_ID, PAD_ID
from training.cvae.batches import Batch
from training.cvae.noise import StepNoise
from training.cvae.output_loss import VocabularySample, linear_cross_entropy, target_log_probs
from training.cvae.parallel import SINGLE_PROCESS, ProcessGroup
from training.cvae.renorm import BatchRenorm


@dataclass(frozen=True, slots=True, kw_only=True)
class Posterior:
    """q(z | x) = N(mu, diag exp(log_variance)), both [B, Z]."""

    mu: Tensor
    log_variance: Tensor

    def sample(self, noise_BZ: Tensor | None = None) -> Tensor:
        """Sample one z per row, differentiable in mu and log_variance (Kingma and Welling 2014)."""
        noise_BZ = torch.randn_like(self.mu) if noise_BZ is None else noise_BZ
        return self.mu + torch.exp(0.5 * self.log_variance) * noise_BZ

    def kl_per_dimension(self) -> Tensor:
        """Return KL(q(z | x) || N(0, I)) in nats, per row and dimension: [B, Z]."""
        return 0.5 * (self.mu**2 + self.log_variance.exp() - 1 - self.log_variance)


class Cvae(nn.Module):
    """Conditional VAE; encoder and decoder share the token embedding, and only the decoder gets the genres."""

    def __init__(
        self,
        config: DecoderConfig,
        *,
        encoder_size: int = 0,
        mu_scale: float = 0.0,
        process_group: ProcessGroup = SINGLE_PROCESS,
    ) -> None:
        """Create the modules.

        Args:
            config: sizes of the decoder.
            encoder_size: hidden size of the encoder; 0 for that of the decoder.
            mu_scale: if positive, the posterior means are batch-normalised to this standard deviation in every
                dimension, which keeps KL above Z mu_scale^2 / 2 nats and every dimension in use (Zhu 2020,
                arXiv 2004.12585, with its gamma fixed).
            process_group: processes that shard a batch in training.
        """
        super().__init__()
        self._mu_scale = mu_scale
        self.mu_norm = BatchRenorm(config.z_size, process_group=process_group)
        self.mu_shift = nn.Parameter(torch.zeros(config.z_size))
        self.decoder = Decoder(config)
        encoder_size = encoder_size or config.hidden_size
        self.encoder_lstm = nn.LSTM(config.embedding_size, encoder_size)
        self.posterior_head = nn.Linear(encoder_size, 2 * config.z_size)

    @property
    def output_weight(self) -> Tensor:
        """Weight of the output layer, [V, E]."""
        return self.decoder.token_embedding.weight

    def encode(self, batch: Batch) -> Posterior:
        """Return q(z | x) of each sentence."""
        # No dropout here, as in the published recipes: it is meant to keep the decoder from memorising.
        embedded_TBE = self.decoder.token_embedding(batch.tokens_TB)
        hidden_TBH, _ = self.encoder_lstm(embedded_TBE)
        rows = torch.arange(len(batch.lengths_B), device=hidden_TBH.device)
        # After its end token a row reads padding, so the state at the end token summarises the sentence.
        last_BH = hidden_TBH[batch.lengths_B - 1, rows]
        return self.posterior(last_BH)

    def posterior(self, last_BH: Tensor) -> Posterior:
        """Return q(z | x) of sentences by the encoder's state behind each, of which the mean is a linear function."""
        mu_BZ, log_variance_BZ = self._posterior_parts(last_BH)
        if self._mu_scale > 0:
            mu_BZ = self._mu_scale * self.mu_norm(mu_BZ) + self.mu_shift
        return Posterior(mu=mu_BZ, log_variance=log_variance_BZ.clamp(-10, 10))

    def _posterior_parts(self, last_BH: Tensor) -> tuple[Tensor, Tensor]:
        """Posterior means before normalisation, and log-variances, [B, Z] each."""
        z_size = self.mu_shift.shape[0]
        bias: Tensor = self.posterior_head.bias
        if self._mu_scale > 0:
            # Normalisation cancels this half of the bias, so its gradient is only rounding error. Adam would turn that
            # into steps of full length, and the running means would lag behind them.
            bias = torch.cat((bias[:z_size].detach(), bias[z_size:]))
        both_BY = nn.functional.linear(last_BH, self.posterior_head.weight, bias)
        return both_BY[:, :z_size], both_BY[:, z_size:]

    def reconstruction(
        self,
        batch: Batch,
        z_BZ: Tensor,
        *,
        noise: StepNoise | None = None,
        sample: VocabularySample | None = None,
        bf16: bool = False,
    ) -> Tensor:
        """Reconstruction loss -log p(x | z, a) in nats, summed over the batch's tokens.

        Args:
            batch: the sentences.
            z_BZ: a latent vector per row.
            noise: dropout and word dropout; none by default.
            sample: tokens on which to estimate the softmax's normaliser; by default it is exact.
            bf16: compute the matrix products of the output layer, most of a step's, in bfloat16. The LSTMs stay in
                single precision (TF32 on a GPU): in bfloat16 torch needs cuDNN 9.13 or later for them.
        """
        projected_PE, targets_P, _ = self._projected(batch, z_BZ, noise)
        weight_VE, bias_V = self.output_weight, self.decoder.output_bias
        if sample is None:
            return linear_cross_entropy(projected_PE, weight_VE, bias_V, targets_P, bf16=bf16)
        weight_SE, bias_S = weight_VE[sample.tokens_S], bias_V[sample.tokens_S] + sample.correction_S
        return linear_cross_entropy(projected_PE, weight_SE, bias_S, sample.positions(targets_P), bf16=bf16)

    @torch.no_grad()
    def token_log_probs(self, batch: Batch, z_BZ: Tensor) -> tuple[Tensor, Tensor]:
        """Log-probability in nats of every real token given those before it, without gradients.

        Args:
            batch: the sentences.
            z_BZ: a latent vector per row.

        Returns:
            Log-probabilities [P], and the row of each [P].
        """
        projected_PE, targets_P, rows_P = self._projected(batch, z_BZ, None)
        return target_log_probs(projected_PE, self.output_weight, self.decoder.output_bias, targets_P), rows_P

    def _projected(self, batch: Batch, z_BZ: Tensor, noise: StepNoise | None) -> tuple[Tensor, Tensor, Tensor]:
        """Inputs of the output layer at real tokens [P, E], the tokens [P], and their rows [P]."""
        targets_TB = batch.tokens_TB
        inputs_TB = torch.cat((torch.full_like(targets_TB[:1], BOS_ID), targets_TB[:-1]))
        inputs_TBE = self.decoder.token_embedding(inputs_TB if noise is None else noise.drop_words(inputs_TB))
        context_BC = torch.cat((z_BZ, self.decoder.embed_genres(batch.genres_G, batch.offsets_B)), dim=1)
        if noise is None:
            projected_TBE = self.decoder(inputs_TBE, context_BC)
        else:
            projected_TBE = noise.drop(self.decoder(noise.drop(inputs_TBE), context_BC))
        # Only real tokens reach the output layer, whose matrix product is the largest.
        real_TB = targets_TB != PAD_ID
        return projected_TBE[real_TB], targets_TB[real_TB], real_TB.nonzero()[:, 1]
