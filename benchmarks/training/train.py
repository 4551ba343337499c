"""Benchmark of the CVAE's training: the machine's matrix products, and the original implementation.

The original, whose overview and code are public, trained on one sentence at a time, with a Python loop over its tokens
and a softmax over the whole vocabulary for each. `OriginalWay` does so with our sizes.

Shapes: N sentences, B rows, T steps, G genres, S sampled tokens, Z latent vector.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import torch
from rich.table import Table
from torch import Tensor, nn

from handlers.model.decoder import DecoderConfig
from handlers.model.vocabulary import BOS_ID, PAD_ID
from training.corpus import CorpusSettings, build_corpus, load_corpus
from training.cvae.batches import Batch, EncodedSentences
from training.cvae.loop import CvaeLoop
from training.cvae.model import Cvae, Posterior
from training.cvae.output_loss import VocabularySampler
from training.cvae.training import decoder_config
from training.cvae.vocabulary import learn_vocabulary
from training.progress import Progress, silent
from training.sample import CATALOG_FILE, POSTS_FILE, make_sample, write_sample
from training.settings import CvaeSettings

_WARM_UP_STEPS: Final = 3
_POSTS: Final = 2500
_QUICK_POSTS: Final = 300
_EDGE: Final = {"cpu": 1024, "cuda": 8192}
"""Rows and columns of the square matrices of the roofline's product."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainBenchPlan:
    """Amount of work to measure."""

    rounds: int = 9
    """Number of rounds, each of our steps, matrix products and the original's steps, in turn."""
    steps: int = 4
    """Our training steps per round; matrix products are measured for as long."""
    sentences: int = 4
    """Sentences that the original trains on per round."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainSpeed:
    """Training speed: medians over the rounds, with ratios taken within each round."""

    tokens_per_s: float
    """Tokens per second, including end tokens but not padding."""
    model_gflops: float
    """Rate of 3 x the matrix products of a forward pass on real tokens, in 10^9 operations per second."""
    gemm_gflops: float
    """Arithmetic rate of square single-precision products, the roofline."""
    roofline: float
    """model_gflops / gemm_gflops."""
    original_tokens_per_s: float
    vs_original: float
    padding: float
    """Share of padding in an epoch's batches."""
    threads: int
    parameters: int

    def figures(self) -> dict[str, float]:
        """Return the figures of the result line."""
        return {name: getattr(self, name) for name in self.__slots__}


class OriginalWay(nn.Module):
    """Training one sentence at a time, token by token, as the original does, with the weights of a `Cvae`."""

    def __init__(self, model: Cvae) -> None:
        super().__init__()
        decoder = model.decoder
        self.token_embedding, self.genre_embedding = decoder.token_embedding, decoder.genre_embedding
        self.initial_state, self.projection = decoder.initial_state, decoder.projection
        self.output_bias, self.posterior_head = decoder.output_bias, model.posterior_head
        self.encoder = _cell_of(model.encoder_lstm)
        self.decoder = _cell_of(decoder.lstm)

    def forward(self, batch: Batch, noise_BZ: Tensor) -> Tensor:
        """Compute -ELBO of a batch of one sentence, in nats."""
        hidden = cell = torch.zeros(1, self.encoder.hidden_size)
        for token in batch.tokens_TB:
            hidden, cell = self.encoder(self.token_embedding(token), (hidden, cell))
        mu, log_variance = self.posterior_head(hidden).chunk(2, dim=1)
        posterior = Posterior(mu=mu, log_variance=log_variance.clamp(-10, 10))
        context = torch.cat((posterior.sample(noise_BZ), self.genre_embedding(batch.genres_G, batch.offsets_B)), dim=1)
        hidden, cell = torch.tanh(self.initial_state(context)).chunk(2, dim=1)
        loss = posterior.kl_per_dimension().sum()
        before = torch.full_like(batch.tokens_TB[0], BOS_ID)
        for token in batch.tokens_TB:
            hidden, cell = self.decoder(torch.cat((self.token_embedding(before), context), dim=1), (hidden, cell))
            projected = self.projection(torch.cat((hidden, context), dim=1))
            logits = nn.functional.linear(projected, self.token_embedding.weight, self.output_bias)
            loss = loss + nn.functional.cross_entropy(logits, token)
            before = token
        return loss


def _cell_of(lstm: nn.LSTM) -> nn.LSTMCell:
    cell = nn.LSTMCell(lstm.input_size, lstm.hidden_size)
    cell.load_state_dict({name.removesuffix("_l0"): value for name, value in lstm.state_dict().items()})
    return cell


def forward_products(config: DecoderConfig, *, encoder_size: int, tokens: int, rows: int, outputs: float) -> float:
    """Count the floating-point operations of a forward pass's matrix products, two per multiply-add.

    Args:
        config: sizes of the decoder.
        encoder_size: hidden size of the encoder.
        tokens: number of tokens, including end tokens but not padding.
        rows: number of sentences.
        outputs: number of tokens of the vocabulary that the output layer is computed for.
    """
    embedding, hidden, context = config.embedding_size, config.hidden_size, config.z_size + config.genre_size
    per_token = (
        4 * encoder_size * (embedding + encoder_size)
        + 4 * hidden * (embedding + context + hidden)
        + (hidden + context) * embedding
        + embedding * outputs
    )
    per_row = encoder_size * 2 * config.z_size + context * 2 * hidden
    return 2.0 * (tokens * per_token + rows * per_row)


def padding_share(sentences: EncodedSentences, batch_size: int, *, seed: int) -> float:
    """Compute the share of padding in an epoch's batches."""
    batches = sentences.bucketed(batch_size, np.random.default_rng(seed))
    cells = sum(len(indices) * int(sentences.lengths_N[indices].max()) for indices in batches)
    return 1 - sentences.num_tokens / max(cells, 1)


def bench_sentences(
    corpus: Path | None, settings: CvaeSettings, *, quick: bool
) -> tuple[DecoderConfig, EncodedSentences]:
    """Load the training split of a corpus, by default one of generated posts, and the sizes of a model for it.

    Raises:
        CorpusError: the folder is not a corpus.
    """
    with tempfile.TemporaryDirectory() as folder:
        if corpus is None:
            corpus = _generated(Path(folder), num_posts=_QUICK_POSTS if quick else _POSTS)
        loaded = load_corpus(corpus)
        part, table = loaded.part("train"), loaded.genre_table
        vocabulary = learn_vocabulary(part.texts, settings)
    config = decoder_config(settings, vocabulary_size=len(vocabulary), num_genres=len(table))
    return config, EncodedSentences(part.texts, part.genres, vocabulary, table)


def _generated(folder: Path, *, num_posts: int) -> Path:
    write_sample(make_sample(seed=0, num_posts=num_posts), folder)
    build_corpus([folder / POSTS_FILE], folder / "corpus", catalog=folder / CATALOG_FILE, settings=CorpusSettings())
    return folder / "corpus"


def measure_training(
    config: DecoderConfig,
    settings: CvaeSettings,
    train: EncodedSentences,
    plan: TrainBenchPlan,
    *,
    seed: int = 0,
    device: str = "cpu",
    bf16: bool = False,
    progress: Progress = silent,
) -> TrainSpeed:
    """Measure our training, matrix products and the original's training in turn, round by round."""
    torch.manual_seed(seed)
    model = Cvae(config, encoder_size=settings.encoder_size, mu_scale=settings.mu_scale).to(device)
    loop = CvaeLoop(model=model, settings=settings, train=train, seed=seed, device=device, bf16=bf16)
    steps = _Steps(loop)
    original = _Original(model, train, seed)
    for _ in range(_WARM_UP_STEPS):
        steps.take(1)
    original.take(1)
    ours, products, theirs = [], [], []
    for number in range(plan.rounds):
        timed = steps.take(plan.steps)
        ours.append(timed)
        products.append(_gemm_rate(device, for_s=timed.seconds))
        theirs.append(original.take(plan.sentences))
        progress(number + 1, plan.rounds, f"{timed.tokens / timed.seconds:,.0f} tokens/s")
    return TrainSpeed(
        tokens_per_s=statistics.median(each.tokens / each.seconds for each in ours),
        model_gflops=statistics.median(each.operations / each.seconds for each in ours) / 1e9,
        gemm_gflops=statistics.median(products) / 1e9,
        roofline=statistics.median(
            each.operations / each.seconds / rate for each, rate in zip(ours, products, strict=True)
        ),
        original_tokens_per_s=statistics.median(each.tokens / each.seconds for each in theirs),
        vs_original=statistics.median(
            (mine.tokens / mine.seconds) / (other.tokens / other.seconds)
            for mine, other in zip(ours, theirs, strict=True)
        ),
        padding=padding_share(train, settings.batch_size, seed=seed),
        threads=torch.get_num_threads(),
        parameters=sum(parameter.numel() for parameter in model.parameters()),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Timed:
    seconds: float
    tokens: int
    operations: float = 0.0


class _Steps:
    """Steps of the real training loop, including batches, noise and optimizer."""

    def __init__(self, loop: CvaeLoop) -> None:
        self._loop = loop
        self._batches = loop.remaining_batches()

    def take(self, count: int) -> _Timed:
        chosen = [self._next() for _ in range(count)]
        seconds = _timed(lambda: [self._loop.step(indices) for indices in chosen], self._loop.device)
        lengths_N, config = self._loop.train.lengths_N, self._loop.model.decoder.config
        operations = 0.0
        for indices in chosen:
            tokens = int(lengths_N[indices].sum())
            outputs = self._outputs(self._loop.train.batch(indices))
            encoder_size = self._loop.model.encoder_lstm.hidden_size
            operations += 3 * forward_products(
                config, encoder_size=encoder_size, tokens=tokens, rows=len(indices), outputs=outputs
            )
        return _Timed(seconds=seconds, tokens=sum(int(lengths_N[each].sum()) for each in chosen), operations=operations)

    def _next(self) -> np.ndarray:
        indices = next(self._batches, None)
        if indices is None:  # a small corpus has few batches, and the epoch does not matter
            self._loop.step_count = 0
            self._batches = self._loop.remaining_batches()
            indices = next(self._batches)
        return indices

    def _outputs(self, batch: Batch) -> int:
        """Number of tokens that the output layer is computed for; samples of the vocabulary are similarly large."""
        sampler: VocabularySampler | None = self._loop.sampler
        if sampler is None or self._loop.fraction_done >= self._loop.settings.exact_from:
            return self._loop.model.decoder.config.vocabulary_size
        return len(sampler.draw(batch.tokens_TB[batch.tokens_TB != PAD_ID].to(self._loop.device)).tokens_S)


class _Original:
    """Training steps of the original, on sentences drawn uniformly from the training split."""

    def __init__(self, model: Cvae, train: EncodedSentences, seed: int) -> None:
        self._way = OriginalWay(model.cpu() if next(model.parameters()).is_cuda else model)
        self._train = train
        self._rng = np.random.default_rng(seed)
        self._optimizer = torch.optim.Adam(self._way.parameters(), lr=1e-4)
        self._z_size = model.decoder.config.z_size

    def take(self, count: int) -> _Timed:
        chosen = self._rng.integers(len(self._train), size=count)

        def train() -> None:
            for index in chosen:
                loss = self._way(self._train.batch([index]), torch.randn(1, self._z_size))
                self._optimizer.zero_grad(set_to_none=True)
                loss.backward()
                self._optimizer.step()

        return _Timed(seconds=_timed(train, "cpu"), tokens=int(self._train.lengths_N[chosen].sum()))


def _gemm_rate(device: str, *, for_s: float) -> float:
    """Measure operations per second of square products, for about the given time."""
    edge = _EDGE[torch.device(device).type]
    one, other = torch.randn(edge, edge, device=device), torch.randn(edge, edge, device=device)
    out = torch.empty_like(one)
    single_s = _timed(lambda: torch.mm(one, other, out=out), device)
    count = max(2, round(for_s / max(single_s, 1e-6)))
    seconds = _timed(lambda: [torch.mm(one, other, out=out) for _ in range(count)], device)
    return 2.0 * edge**3 * count / seconds


def _timed(work: Callable[[], object], device: str) -> float:
    on_gpu = torch.device(device).type == "cuda"
    if on_gpu:
        torch.cuda.synchronize(device)
    started = time.perf_counter()
    work()
    if on_gpu:
        torch.cuda.synchronize(device)
    return time.perf_counter() - started


def speed_table(speed: TrainSpeed) -> Table:
    """Make a table of the figures and their goals."""
    table = Table(title="Training speed", title_justify="left")
    for heading in ("figure", "value", "goal", "how"):
        table.add_column(heading)
    table.add_row("tokens/s", f"{speed.tokens_per_s:,.0f}", "", "real tokens; batches, noise and optimizer included")
    how = "3 x a forward pass's products on real tokens / time"
    table.add_row("model GFLOP/s", f"{speed.model_gflops:.1f}", "", how)
    table.add_row("matrix products GFLOP/s", f"{speed.gemm_gflops:.1f}", "", f"{speed.threads} thread(s), same run")
    table.add_row("roofline", f"{speed.roofline:.2f}", ">= 0.6", "model over matrix products, median of rounds")
    table.add_row("original's way, tokens/s", f"{speed.original_tokens_per_s:,.0f}", "", "batch 1, token by token")
    table.add_row("vs original", f"{speed.vs_original:.0f} x", ">= 50", "same sizes, its own optimizer step")
    table.add_row("padding", f"{speed.padding:.1%}", "<= 5%", "of the cells of an epoch's batches")
    return table
