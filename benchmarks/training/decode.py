"""Benchmark of the worker's decode: rooflines, a plain batched loop, and the original implementation.

Every round measures all of them in turn, and ratios are taken within a round; the result is the median over the rounds.
With one thread, the clock is the process's processor time, which depends little on other load.

The rooflines are a large matrix product, in single precision and in 8-bit integers, and a large copy. They are compared
with the model's work: 2 (4 H^2 + H E + E V) operations per token, and reading 4 H^2 + H E + E V weights of four bytes
per step. Integers may exceed the roofline of single precision, but not their own.

Shapes: B rows, V tokens, E embedding, H hidden, Z latent vector, A genre embedding, C = Z + A context,
I = E + C inputs, J = 50 highest logits, K topics, W words.
"""

from __future__ import annotations

import dataclasses
import resource
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

import torch
from rich.table import Table
from torch import Tensor, nn

from handlers.contract import SamplingParams
from handlers.decoding.engine import Engine, SequenceSpec
from handlers.decoding.matmul import PackedLinear, Precision, precisions
from handlers.decoding.random_numbers import derive_seed
from handlers.model.bundle import Bundle, BundleConfig
from handlers.model.decoder import Decoder, DecoderConfig
from handlers.model.genres import GenreTable
from handlers.model.topics import TopicModel
from handlers.model.vocabulary import BOS_ID, EOS_ID, PLACEHOLDERS, SPECIALS, Vocabulary
from training.plots import plot_curves
from training.progress import Progress, silent
from training.settings import CvaeSettings

_EDGE: Final = 1024
_COPIED: Final = 16_000_000
_ORIGINAL_STEPS: Final = 50
_ORIGINAL_WORDS: Final = 333_336
"""Words of the original's vocabulary; its output layer is 98% of its 2.3 GB."""
_TOP_K: Final = 50
_STATUS: Final = Path("/proc/self/status")
KINDS: Final[dict[str, dict[str, Any]]] = {
    "top_k 40": {"top_k": 40},
    "top_p 0.3": {"top_p": 0.3},
    "min_p 0.05": {"min_p": 0.05},
    "min_p 0.4": {"min_p": 0.4},
    "guidance 2": {"guidance": 2.0},
}
"""Sampling parameters whose step is compared with that of the defaults."""
_GUIDED_ROWS: Final = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class DecodeBenchPlan:
    """Amount of work to measure."""

    sequences: int = 64
    """Sequences and slots of the larger decode."""
    steps: int = 40
    """Tokens of every sequence; none ends earlier."""
    rounds: int = 7
    scaling: tuple[int, ...] = (64, 256, 1024, 4096)
    """Numbers of sequences in one decode, to measure how time grows with them."""
    scaling_steps: int = 8
    original_words: int = _ORIGINAL_WORDS
    sentence: int = 26
    """Tokens per sentence, where sentences per second are compared; the mean of real text."""


def random_bundle(settings: CvaeSettings) -> Bundle:
    """Make a bundle of a preset's sizes with random weights and invented words; it is as fast as a trained one."""
    forms = [space + each for each in PLACEHOLDERS for space in ("", " ")]
    words = [f" {number:b}".translate(str.maketrans("01", "ab")) for number in range(settings.max_vocabulary)]
    vocabulary = Vocabulary(tokens=(*SPECIALS, *forms, *words)[: settings.max_vocabulary])
    config = DecoderConfig(
        vocabulary_size=len(vocabulary),
        num_genres=1,
        embedding_size=settings.embedding_size,
        hidden_size=settings.hidden_size,
        z_size=settings.z_size,
        genre_size=settings.genre_size,
    )
    torch.manual_seed(0)
    decoder = Decoder(config)
    # Zipf's law: most draws of a flat distribution would fall outside the nucleus and be repeated.
    decoder.output_bias.data -= torch.arange(2, len(vocabulary) + 2).log()
    return plain_bundle(decoder, vocabulary, GenreTable(labels=("pop",)))


def plain_bundle(decoder: Decoder, vocabulary: Vocabulary, genres: GenreTable) -> Bundle:
    """Make a bundle of a decoder and its tables, with a dummy topic model."""
    topics = TopicModel(
        words=("a",), names=("1 a",), alpha_K=torch.ones(1), exp_elog_beta_KW=torch.ones(1, 1), desired=0
    )
    return Bundle(
        config=BundleConfig(
            model="cvae",
            version="0",
            decoder=decoder.config,
            generator=None,
            topics=topics.names,
            desired_topic=topics.names[0],
            num_genres=len(genres),
            lineage={},
        ),
        vocabulary=vocabulary,
        genres=genres,
        topics=topics,
        decoder=decoder.eval().requires_grad_(requires_grad=False),
        generator=None,
    )


def endless(bundle: Bundle) -> Bundle:
    """Copy a bundle whose sentences never end early, so that everything measured takes the same number of steps."""
    decoder = Decoder(bundle.config.decoder)
    decoder.load_state_dict(bundle.decoder.state_dict())
    decoder.eval().requires_grad_(requires_grad=False)
    decoder.output_bias[EOS_ID] = -1e4
    return dataclasses.replace(bundle, decoder=decoder)


class PlainLoop(nn.Module):
    """Baseline decode of plain torch modules: LSTMCell, Linear, topk, softmax, multinomial, for every row and step."""

    def __init__(self, decoder: Decoder, *, words: int | None = None) -> None:
        super().__init__()
        config = decoder.config
        self.decoder = decoder
        self.cell = nn.LSTMCell(decoder.lstm.input_size, config.hidden_size)
        self.cell.load_state_dict({name.removesuffix("_l0"): each for name, each in decoder.lstm.state_dict().items()})
        self.output = nn.Linear(config.embedding_size, words or config.vocabulary_size)
        if words is None:
            self.output.weight, self.output.bias = decoder.token_embedding.weight, decoder.output_bias

    @torch.inference_mode()
    def forward(self, z_BZ: Tensor, steps: int) -> Tensor:
        """Decode tokens, [steps, B]."""
        none_B = torch.zeros(len(z_BZ), dtype=torch.long, device=z_BZ.device)
        each_B = torch.arange(len(z_BZ), device=z_BZ.device)
        context_BC = torch.cat((z_BZ, self.decoder.embed_genres(none_B, each_B)), dim=1)
        hidden_BH, cell_BH = self.decoder.start(context_BC)
        token_B = torch.full_like(none_B, BOS_ID)
        tokens = []
        for _ in range(steps):
            seen_BI = torch.cat((self.decoder.token_embedding(token_B), context_BC), dim=1)
            hidden_BH, cell_BH = self.cell(seen_BI, (hidden_BH, cell_BH))
            projected_BE = self.decoder.projection(torch.cat((hidden_BH, context_BC), dim=1))
            best_BJ, ids_BJ = (self.output(projected_BE) / 0.95).topk(_TOP_K)
            drawn_B1 = torch.multinomial(torch.softmax(best_BJ, dim=1), 1)
            # The output layer may have more tokens than the embedding, only for their cost.
            token_B = ids_BJ.gather(1, drawn_B1).squeeze(1) % self.decoder.config.vocabulary_size
            tokens.append(token_B)
        return torch.stack(tokens)


@dataclass(frozen=True, slots=True, kw_only=True)
class DecodeSpeed:
    """Decode speed: medians over the rounds, with ratios taken within each round."""

    roofline_b64: float
    """Arithmetic rate at the plan's number of sequences, as a share of that of a large matrix product."""
    roofline_int8_b64: float | None
    """The same as a share of a large product of 8-bit integers, by the same library; None where torch lacks it."""
    roofline_b1: float
    """Time to read the weights at a large copy's rate, over the time of a step, with one sequence."""
    vs_plain_b64: float
    """Speed relative to `PlainLoop`, at the plan's number of sequences."""
    vs_plain_b1: float
    """Speed relative to `PlainLoop`, with one sequence."""
    vs_original: float
    """Sentences per second over those of `PlainLoop` one at a time, 50 steps each, with the original's vocabulary."""
    vs_original_same_model: float
    """Sentences per second over those of `PlainLoop` one at a time, 50 steps each, with the same vocabulary."""
    vs_default: dict[str, float]
    """Time of a step with other sampling parameters over that with the defaults, for as many rows of the products; a
    guided sequence has two."""
    growth: float
    """Time per sequence with the most sequences over that with the fewest; 1 is linear growth."""
    growth_steps: float
    """Time per step with all steps over that with a quarter of them."""
    memory_growth_mib: float
    """Growth of the process's peak memory by the decodes of `scaling`."""
    tokens_per_s: float
    gemm_gflops: float
    int8_gops: float | None
    copy_gb_per_s: float
    seconds_per_row: dict[int, float]
    precision: str
    threads: int

    def figures(self) -> dict[str, object]:
        """Return the figures of the result line."""
        return {name: getattr(self, name) for name in self.__slots__}


def measure_decoding(bundle: Bundle, plan: DecodeBenchPlan, *, progress: Progress = silent) -> DecodeSpeed:
    """Measure the decode, round by round."""
    model = endless(bundle)
    config = model.config.decoder
    weights = 4 * config.hidden_size**2 + (config.hidden_size + config.vocabulary_size) * config.embedding_size
    engine = Engine(model, slots=plan.sequences)
    engine.decode(bench_sequences(plan.sequences, plan.scaling_steps))
    # First, before anything else allocates memory.
    before = _peak_mib()
    seconds_per_row = scaling(engine, plan)
    grown_mib = _peak_mib() - before
    plain, original = PlainLoop(model.decoder), PlainLoop(model.decoder, words=plan.original_words)
    many, one = torch.zeros(plan.sequences, config.z_size), torch.zeros(1, config.z_size)
    square, source = torch.randn(_EDGE, _EDGE), torch.zeros(_COPIED)
    copied = torch.empty_like(source)
    has_int8 = Precision.INT8 in precisions()
    multiply_int8 = PackedLinear(square, precision=Precision.INT8, bound=4.0) if has_int8 else None
    ways: dict[str, Callable[[], object]] = {
        "gemm": lambda: square @ square,
        "gemm_int8": lambda: None if multiply_int8 is None else multiply_int8(square),
        "engine_b64": lambda: engine.decode(bench_sequences(plan.sequences, plan.steps)),
        "plain_b64": lambda: plain(many, plan.steps),
        "copy": lambda: copied.copy_(source),
        "engine_b1": lambda: engine.decode(bench_sequences(1, plan.steps)),
        "plain_b1": lambda: plain(one, plan.steps),
        "sentences": lambda: engine.decode(bench_sequences(plan.sequences, plan.sentence)),
        # A tenth of a sentence, since every step costs the same.
        "original": lambda: original(one, _ORIGINAL_STEPS // 10),
        "original_same": lambda: plain(one, _ORIGINAL_STEPS),
    }
    kinds = {name: _kind_sequences(plan, changes) for name, changes in KINDS.items()}
    ways |= {name: partial(engine.decode, specs) for name, specs in kinds.items()}
    rounds = []
    for number in range(plan.rounds + 1):
        progress(number, plan.rounds + 1, "rounds")
        rounds.append({name: _seconds(way) for name, way in ways.items()})
    # The first round is the warm-up.
    rounds = rounds[1:]

    def middle(ratio: Callable[[dict[str, float]], float]) -> float:
        return statistics.median(map(ratio, rounds))

    tokens = plan.sequences * plan.steps
    return DecodeSpeed(
        roofline_b64=middle(lambda each: _gemm_s(weights, tokens, each["gemm"]) / each["engine_b64"]),
        roofline_int8_b64=middle(lambda each: _gemm_s(weights, tokens, each["gemm_int8"]) / each["engine_b64"])
        if has_int8
        else None,
        roofline_b1=middle(lambda each: 4 * weights * plan.steps / _copy_rate(each) / each["engine_b1"]),
        vs_plain_b64=middle(lambda each: each["plain_b64"] / each["engine_b64"]),
        vs_plain_b1=middle(lambda each: each["plain_b1"] / each["engine_b1"]),
        vs_original=middle(lambda each: 10 * each["original"] / (each["sentences"] / plan.sequences)),
        vs_original_same_model=middle(lambda each: each["original_same"] / (each["sentences"] / plan.sequences)),
        vs_default={name: statistics.median(each[name] / each["engine_b64"] for each in rounds) for name in KINDS},
        growth=seconds_per_row[max(plan.scaling)] / seconds_per_row[min(plan.scaling)],
        growth_steps=_growth_in_steps(engine, plan),
        memory_growth_mib=grown_mib,
        tokens_per_s=middle(lambda each: tokens / each["engine_b64"]),
        gemm_gflops=middle(lambda each: 2 * _EDGE**3 / each["gemm"] / 1e9),
        int8_gops=middle(lambda each: 2 * _EDGE**3 / each["gemm_int8"] / 1e9) if has_int8 else None,
        copy_gb_per_s=middle(lambda each: _copy_rate(each) / 1e9),
        seconds_per_row=seconds_per_row,
        precision=engine.precision.value,
        threads=torch.get_num_threads(),
    )


def scaling(engine: Engine, plan: DecodeBenchPlan) -> dict[int, float]:
    """Measure seconds per sequence by number of sequences in one decode; medians of three."""
    times: dict[int, list[float]] = {count: [] for count in plan.scaling}
    for _ in range(3):
        for count, found in times.items():
            sequences = bench_sequences(count, plan.scaling_steps)
            found.append(_seconds(lambda sequences=sequences: engine.decode(sequences)) / count)  # type: ignore[misc]
    return {count: statistics.median(found) for count, found in times.items()}


def _growth_in_steps(engine: Engine, plan: DecodeBenchPlan) -> float:
    few = max(1, plan.steps // 4)
    ratios = []
    for _ in range(5):
        long, short = (_seconds_per_step(engine, plan.sequences, steps) for steps in (plan.steps, few))
        ratios.append(long / short)
    return statistics.median(ratios)


def _seconds_per_step(engine: Engine, count: int, steps: int) -> float:
    return _seconds(lambda: engine.decode(bench_sequences(count, steps))) / steps


def bench_sequences(count: int, steps: int, *, genres: tuple[int, ...] = (), **changes: Any) -> list[SequenceSpec]:
    """Make sequences of exactly `steps` tokens in a model from `endless`.

    Args:
        count: number of sequences.
        steps: tokens of each.
        genres: genres of each; by default none.
        changes: sampling parameters other than the defaults.
    """
    sampling = SamplingParams(max_tokens=steps, **changes)
    return [SequenceSpec(genres=genres, seed=derive_seed(1, number), sampling=sampling) for number in range(count)]


def _kind_sequences(plan: DecodeBenchPlan, changes: dict[str, Any]) -> list[SequenceSpec]:
    """Make sequences with other sampling parameters, of as many rows as the plan's; only guided ones have genres."""
    if "guidance" in changes:
        return bench_sequences(max(1, plan.sequences // _GUIDED_ROWS), plan.steps, genres=(1,), **changes)
    return bench_sequences(plan.sequences, plan.steps, **changes)


def _seconds(run: Callable[[], object]) -> float:
    clock = time.process_time if torch.get_num_threads() == 1 else time.perf_counter
    before = clock()
    run()
    return clock() - before


def _gemm_s(weights: int, tokens: int, seconds: float) -> float:
    """Time of the model's products at the rate of a large product that took some time."""
    return 2 * weights * tokens / (2 * _EDGE**3 / seconds)


def _copy_rate(times: dict[str, float]) -> float:
    """Bytes per second, read and written."""
    return 2 * 4 * _COPIED / times["copy"]


def _peak_mib() -> float:
    """Peak memory of the process; `getrusage` may return that of the parent, from before the fork."""
    if _STATUS.is_file():
        lines = dict(line.split(":", 1) for line in _STATUS.read_text(encoding="utf-8").splitlines())
        return int(lines["VmHWM"].split()[0]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def decode_table(speed: DecodeSpeed) -> Table:
    """Make a table of the figures and their goals."""
    table = Table(
        "figure", "value", "goal", "what it is", title=f"decode, {speed.precision}, {speed.threads} thread(s)"
    )
    lines: Sequence[tuple[str, str, str, str]] = (
        ("tokens/s", f"{speed.tokens_per_s:,.0f}", "", "64 sequences"),
        (
            "roofline_b64",
            f"{speed.roofline_b64:.2f}",
            ">= 0.85",
            f"of a large product's {speed.gemm_gflops:.0f} GFLOP/s",
        ),
        (
            "roofline_int8_b64",
            "" if speed.roofline_int8_b64 is None else f"{speed.roofline_int8_b64:.2f}",
            ">= 0.55",
            "" if speed.int8_gops is None else f"of a large int8 product's {speed.int8_gops:.0f} GOP/s",
        ),
        ("roofline_b1", f"{speed.roofline_b1:.2f}", ">= 0.9", f"of reading at a copy's {speed.copy_gb_per_s:.0f} GB/s"),
        ("vs_plain_b64", f"{speed.vs_plain_b64:.2f} x", ">= 2", "LSTMCell, Linear, topk, multinomial"),
        ("vs_plain_b1", f"{speed.vs_plain_b1:.2f} x", ">= 2.5", "same, one sequence"),
        ("vs_original", f"{speed.vs_original:.0f} x", ">= 100", "one at a time, 50 steps, 333,336 words; sentences/s"),
        ("same model", f"{speed.vs_original_same_model:.0f} x", "", "one at a time, 50 steps, our vocabulary"),
        *(
            (name, f"{ratio:.2f}", "<= 1.15", "time of a step over the default's")
            for name, ratio in speed.vs_default.items()
        ),
        *_growth_lines(speed.seconds_per_row),
        ("growth_steps", f"{speed.growth_steps:.2f}", "<= 1", "time per step, all steps over a quarter"),
        ("memory growth", f"{speed.memory_growth_mib:.0f} MiB", "", "of the process, by the most sequences"),
    )
    for line in lines:
        table.add_row(*line)
    return table


def _growth_lines(seconds_per_row: dict[int, float]) -> list[tuple[str, str, str, str]]:
    """Return a line for each number of sequences: its time over what the fewest say."""
    fewest = min(seconds_per_row)
    return [
        (
            f"growth {count // fewest}x",
            f"{seconds / seconds_per_row[fewest]:.2f}",
            "<= 1",
            f"{count} sequences, time of each",
        )
        for count, seconds in seconds_per_row.items()
        if count > fewest
    ]


def plot_decoding(speed: DecodeSpeed, path: Path) -> None:
    """Plot seconds over the number of sequences in one decode, and a line through the smallest number."""
    fewest = min(speed.seconds_per_row)
    curves = {
        "measured": [(float(count), count * seconds) for count, seconds in speed.seconds_per_row.items()],
        "linear": [(float(count), count * speed.seconds_per_row[fewest]) for count in speed.seconds_per_row],
    }
    plot_curves(curves, path, title="Time of a decode", xlabel="sequences", ylabel="seconds")
