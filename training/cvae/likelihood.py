"""Importance-weighted likelihood of sentences under a CVAE, with shared work computed once.

All samples of a sentence read the same words, so the words' part of the LSTM's input product is computed once for all
samples, and the part of z once for all steps. No row is padded, and logits are reduced chunk by chunk in place.

Shapes: S importance samples, B rows, T steps, G genres, E embedding, H hidden, Z latent vector, A genre
embedding, C context <z, a>, D sentences, N = D.
"""

from __future__ import annotations

import hashlib
import io
import math
import time
from pathlib import Path
from typing import Final

import numpy as np
import torch
from torch import Tensor

from handlers.model.decoder import Decoder
from handlers.model.vocabulary import BOS_ID
from training.cvae.batches import Batch, EncodedSentences
from training.cvae.model import Cvae, Posterior
from training.cvae.noise import mixed_seed
from training.cvae.output_loss import target_log_probs
from training.errors import CheckpointError
from training.files import atomic_path
from training.progress import Progress, silent

_SAVE_EVERY_S: Final = 60.0


@torch.no_grad()
def importance_weighted_nll(
    model: Cvae,
    sentences: EncodedSentences,
    *,
    num_samples: int = 500,
    seed: int = 0,
    device: str = "cpu",
    progress: Progress = silent,
    folder: Path | None = None,
) -> np.ndarray:
    """Estimate -log p(x | a) of each sentence in nats by importance sampling from q(z | x) (Burda 2016, equation 8).

    The estimate is -(logsumexp_s[log p(x | z_s, a) + log p(z_s) - log q(z_s | x)] - log S) with z_s ~ q(z | x). Its
    expectation is an upper bound that becomes tighter with more samples. The samples of a sentence depend only on the
    seed and the sentence's index.

    Args:
        model: model to score.
        sentences: sentences to score it on.
        num_samples: S.
        seed: seed of the samples.
        device: device of the model.
        progress: gets the number of tokens done.
        folder: folder that keeps the scores so far, in a file named by model, sentences, seed and S. The file is
            written every minute, and an interrupted run continues from it.

    Returns:
        Scores [D], in the order of the sentences.

    Raises:
        CheckpointError: the scores of an interrupted run cannot be read.
        OutputError: the scores cannot be written.
    """
    model.eval()
    path = None if folder is None else folder / f"nll-{_fingerprint(model, sentences, num_samples, seed)}.npy"
    scores = _SavedScores(len(sentences), path)
    generator = torch.Generator(device="cpu")
    total = int(sentences.num_tokens)
    done = int(sentences.lengths_N[~np.isnan(scores.nll_D)].sum())
    for index in np.flatnonzero(np.isnan(scores.nll_D)).tolist():
        batch = sentences.batch([index]).to(device)
        generator.manual_seed(mixed_seed(seed, index))
        scores.nll_D[index] = _sentence_nll(model, batch, num_samples, generator)
        scores.save_periodically()
        done += int(sentences.lengths_N[index])
        known = ~np.isnan(scores.nll_D)
        perplexity = math.exp(scores.nll_D[known].sum() / sentences.lengths_N[known].sum())
        progress(done, total, f"perplexity {perplexity:.2f} so far")
    scores.save()
    return scores.nll_D


def _sentence_nll(model: Cvae, batch: Batch, num_samples: int, generator: torch.Generator) -> float:
    posterior = model.encode(batch)
    noise_SZ = torch.randn(num_samples, posterior.mu.shape[1], generator=generator).to(posterior.mu.device)
    spread = Posterior(mu=posterior.mu.expand_as(noise_SZ), log_variance=posterior.log_variance.expand_as(noise_SZ))
    z_SZ = spread.sample(noise_SZ)
    # log p(z) - log q(z | x): the constants of both normal distributions cancel, and (z - mu) / sigma is the noise.
    log_ratio_S = 0.5 * (noise_SZ**2 - z_SZ**2 + posterior.log_variance).sum(dim=1)
    log_weight_S = (_log_likelihood(model.decoder, batch, z_SZ) + log_ratio_S).double()
    return math.log(num_samples) - float(torch.logsumexp(log_weight_S, dim=0))


def _log_likelihood(decoder: Decoder, batch: Batch, z_SZ: Tensor) -> Tensor:
    """Log-likelihood log p(x | z_s, a) of one sentence for each of S latent vectors, in nats: [S]."""
    config, lstm = decoder.config, decoder.lstm
    targets_T = batch.tokens_TB[:, 0]
    genres_1A = decoder.embed_genres(batch.genres_G, batch.offsets_B)
    context_SC = torch.cat((z_SZ, genres_1A.expand(len(z_SZ), -1)), dim=1)
    inputs_T = torch.cat((targets_T.new_tensor([BOS_ID]), targets_T[:-1]))
    from_words, from_context = lstm.get_parameter("weight_ih_l0").tensor_split([config.embedding_size], dim=1)
    bias = lstm.get_parameter("bias_ih_l0") + lstm.get_parameter("bias_hh_l0")
    words_T4H = decoder.token_embedding(inputs_T) @ from_words.T + bias
    context_S4H = context_SC @ from_context.T
    recurrent_H4H = lstm.get_parameter("weight_hh_l0").T
    hidden_SH, cell_SH = decoder.start(context_SC)
    steps = []
    for words_4H in words_T4H:
        gates_S4H = torch.addmm(context_S4H, hidden_SH, recurrent_H4H).add_(words_4H)
        input_SH, forget_SH, candidate_SH, output_SH = gates_S4H.chunk(4, dim=1)
        cell_SH = forget_SH.sigmoid_().mul_(cell_SH).addcmul_(input_SH.sigmoid_(), candidate_SH.tanh_())
        hidden_SH = output_SH.sigmoid_() * cell_SH.tanh()
        steps.append(hidden_SH)
    projected_TSE = _projected(decoder, torch.stack(steps), context_SC)
    log_prob_TS = target_log_probs(
        projected_TSE.flatten(0, 1),
        decoder.token_embedding.weight,
        decoder.output_bias,
        targets_T.repeat_interleave(len(z_SZ)),
    ).view(len(targets_T), -1)
    return log_prob_TS.sum(dim=0)


def _projected(decoder: Decoder, hidden_TSH: Tensor, context_SC: Tensor) -> Tensor:
    """Input of the output layer [T, S, E], with the context's part of the product computed once for all steps."""
    from_hidden, from_context = decoder.projection.weight.tensor_split([hidden_TSH.shape[2]], dim=1)
    shared_SE = torch.addmm(decoder.projection.bias, context_SC, from_context.T)
    return torch.matmul(hidden_TSH, from_hidden.T).add_(shared_SE)


class _SavedScores:
    """Scores so far, NaN for sentences without one, and the file that keeps them."""

    def __init__(self, count: int, path: Path | None) -> None:
        self._path = path
        self._saved_s = time.monotonic()
        self.nll_D = np.full(count, np.nan)
        if path is not None and path.exists():
            self.nll_D = _load_scores(path, count)

    def save_periodically(self) -> None:
        """Save if the last save was more than a minute ago."""
        if time.monotonic() - self._saved_s > _SAVE_EVERY_S:
            self.save()

    def save(self) -> None:
        """Write the scores, if they are to be kept."""
        self._saved_s = time.monotonic()
        if self._path is None:
            return
        packed = io.BytesIO()
        np.save(packed, self.nll_D)
        with atomic_path(self._path) as partial:
            partial.write_bytes(packed.getbuffer())


def _load_scores(path: Path, count: int) -> np.ndarray:
    nll_D = np.zeros(0)
    reason = "it holds scores of another number of sentences"
    try:
        nll_D = np.load(io.BytesIO(path.read_bytes()), allow_pickle=False)
    except (OSError, ValueError, EOFError) as cause:  # numpy, for a file that is foreign or cut short
        reason = type(cause).__name__
    if nll_D.shape != (count,) or nll_D.dtype != np.float64:
        raise CheckpointError(f"{path} cannot be read ({reason}); remove it to score the sentences again")
    return nll_D


def _fingerprint(model: Cvae, sentences: EncodedSentences, num_samples: int, seed: int) -> str:
    digest = hashlib.sha256(f"{num_samples} {seed} {sentences.num_tokens}".encode())
    digest.update(sentences.lengths_N.tobytes())
    for tensor in model.state_dict().values():
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:12]
