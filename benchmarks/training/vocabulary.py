"""Benchmark of vocabularies and output layers: held-out bits per character and sentences per second.

Every choice is trained for the same processor time. Then all of them decode in turn within one run: in the worker's
engine with many sequences and with one, and the original's structure as the original does, one sentence at a time in 50
steps. Sentences have the mean length of held-out ones in a choice's tokens, and the clock is processor time of one
thread.

Shapes: Z latent vector.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import torch
from rich.table import Table

from benchmarks.training.decode import endless, plain_bundle
from benchmarks.training.equal_time import Budget, Result, Trained, train_and_score
from benchmarks.training.structures import ORIGINAL, Choice, original_decode
from handlers.contract import SamplingParams
from handlers.decoding.engine import Engine, SequenceSpec
from handlers.decoding.random_numbers import derive_seed
from training.corpus import Corpus
from training.plots import plot_points
from training.progress import Progress, silent

DEFAULT_CHOICES: Final = (
    "subwords:2000,subwords:4000,subwords:8000,subwords:16000,words:15000,subwords:8000:128,subwords:8000:512,original"
)
_ORIGINAL_STEPS: Final = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class SpeedPlan:
    """Amount of decoding to measure."""

    sequences: int = 64
    """Sequences and slots of the larger decode."""
    rounds: int = 7
    """Number of rounds, each of which measures every choice once."""
    original_steps: int = 5
    """Measured steps of the original's 50, all of which cost the same."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """Measurements of a choice."""

    name: str
    embedding_size: int
    output_share: float
    """Share of the output layer in the multiplications of a decoding step."""
    result: Result
    decode_b64: float
    """Sentences per processor second with the plan's sequences; for the original, one at a time."""
    decode_b1: float
    """Sentences per processor second with one sequence at a time."""

    def figures(self) -> dict[str, Any]:
        """Return the figures of the result line."""
        return {
            "embedding_size": self.embedding_size,
            "output_share": self.output_share,
            **asdict(self.result),
            "decode_b64": self.decode_b64,
            "decode_b1": self.decode_b1,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Measurements of all choices, and the comparison with the original."""

    rows: tuple[Measured, ...]
    best: str | None
    """Choice with the fastest decode of many sequences among those with at most the original's bits per character."""
    vs_original: float | None
    """Sentences per second of `best` over those of the original; None without a best choice or the original."""
    minutes: float

    def figures(self) -> dict[str, Any]:
        """Return the figures of the result line."""
        choices = {row.name: row.figures() for row in self.rows}
        return {"minutes": self.minutes, "vs_original": self.vs_original, "best": self.best, "choices": choices}


def compare_vocabularies(
    choices: Sequence[Choice],
    corpus: Corpus,
    budget: Budget,
    plan: SpeedPlan,
    *,
    folder: Path,
    progress: Callable[[str], Progress] = lambda _: silent,
) -> Comparison:
    """Train and score the choices that are not trained yet, and measure the decodes of all.

    Args:
        choices: choices to compare.
        corpus: corpus with the splits train and valid.
        budget: resources of every training.
        plan: amount of decoding to measure.
        folder: folder that keeps trained models.
        progress: makes the progress callback of a named piece of work.

    Raises:
        TrainingError: see `train_and_score`.
    """
    trained = [train_and_score(each, corpus, budget, folder=folder, progress=progress(each.name)) for each in choices]
    ways = {each.choice.name: _way(each, corpus, plan) for each in trained}
    watch = progress("decoding")
    rounds: list[dict[str, tuple[float, float]]] = []
    for number in range(plan.rounds + 1):
        watch(number, plan.rounds + 1, "rounds")
        rounds.append({name: way(number) for name, way in ways.items()})
    watch(1.0, 1.0, "rounds")
    # The first round is the warm-up.
    rounds = rounds[1:]
    rows = tuple(_measured(each, [found[each.choice.name] for found in rounds]) for each in trained)
    best = _best(rows)
    vs_original = None
    if best is not None:
        vs_original = statistics.median(found[best][0] / found[ORIGINAL][0] for found in rounds)
    return Comparison(rows=rows, best=best, vs_original=vs_original, minutes=budget.seconds / 60)


def _best(rows: Sequence[Measured]) -> str | None:
    original = next((row for row in rows if row.name == ORIGINAL), None)
    if original is None:
        return None
    allowed = [
        row
        for row in rows
        if row is not original and row.result.bits_per_character <= original.result.bits_per_character
    ]
    return max(allowed, key=lambda row: row.decode_b64).name if allowed else None


def _measured(trained: Trained, rates: Sequence[tuple[float, float]]) -> Measured:
    config = trained.model.decoder.config
    output = trained.model.output_weight.numel()
    projection = config.hidden_size * config.embedding_size if trained.choice.tied else 0
    many, one = (statistics.median(each) for each in zip(*rates, strict=True))
    return Measured(
        name=trained.choice.name,
        embedding_size=config.embedding_size,
        output_share=output / (output + projection + 4 * config.hidden_size**2),
        result=trained.result,
        decode_b64=many,
        decode_b1=one,
    )


def _way(trained: Trained, corpus: Corpus, plan: SpeedPlan) -> Callable[[int], tuple[float, float]]:
    """Make a function that measures sentences per second with many sequences and with one, given the round's number."""
    if not trained.choice.tied:
        return _original_way(trained, plan)
    bundle = plain_bundle(trained.model.decoder, trained.vocabulary, corpus.genre_table)
    engine = Engine(endless(bundle), slots=plan.sequences)
    steps = max(1, round(trained.result.tokens_per_sentence))

    def sentences_per_s(count: int, number: int) -> float:
        rows = [
            SequenceSpec(genres=(), seed=derive_seed(number, place), sampling=SamplingParams(max_tokens=steps))
            for place in range(count)
        ]
        seconds = _seconds(lambda: engine.decode(rows))
        return count * steps / trained.result.tokens_per_sentence / seconds

    return lambda number: (sentences_per_s(plan.sequences, number), sentences_per_s(1, number))


def _original_way(trained: Trained, plan: SpeedPlan) -> Callable[[int], tuple[float, float]]:
    decode = original_decode(trained.model)
    z_1Z = torch.zeros(1, trained.model.decoder.config.z_size)

    def sentences_per_s(number: int) -> tuple[float, float]:
        del number
        seconds = _seconds(lambda: decode(z_1Z, plan.original_steps))
        return (plan.original_steps / _ORIGINAL_STEPS / seconds,) * 2

    return sentences_per_s


def _seconds(work: Callable[[], object]) -> float:
    before = time.process_time()
    work()
    return time.process_time() - before


def vocabulary_table(comparison: Comparison) -> Table:
    """Make a table of the choices."""
    table = Table(title=f"{comparison.minutes:g} minutes of processor time each", title_justify="left")
    table.add_column("choice", no_wrap=True)
    # Two-line headings, so that the table fits into 80 columns.
    for heading in ("E", "bits/\nchar", "un-\nknown", "tokens", "trained\n/s", "64 seq.\n/s", "1 seq.\n/s"):
        table.add_column(heading, justify="right")
    for row in comparison.rows:
        result = row.result
        table.add_row(
            row.name,
            str(row.embedding_size),
            f"{result.bits_per_character:.3f}",
            f"{result.unknown:.1%}",
            f"{result.tokens_per_sentence:.1f}",
            f"{result.training_sentences_per_s:.0f}",
            f"{row.decode_b64:.3g}",
            f"{row.decode_b1:.3g}",
        )
    if comparison.vs_original is not None:
        table.caption = (
            f"{comparison.best}: {comparison.vs_original:.0f} times the original's sentences per second, "
            "at no more bits per character"
        )
    return table


def plot_vocabularies(comparison: Comparison, path: Path) -> None:
    """Plot bits per character over sentences per second; the original, which is far slower, is a line."""
    tied = [row for row in comparison.rows if row.name != ORIGINAL]
    plot_points(
        {row.name: (row.decode_b64, row.result.bits_per_character) for row in tied or comparison.rows},
        path,
        title=f"{comparison.minutes:g} minutes of processor time each",
        xlabel="sentences decoded per processor second, 64 at once",
        ylabel="held-out bits per character",
        levels={
            f"original: {row.decode_b64:.2g} sentences/s, one at a time": row.result.bits_per_character
            for row in comparison.rows
            if row.name == ORIGINAL
        },
    )
