"""Command group `deephypebot bench`: the benchmarks of all packages but the bot, which has `deephypebot bot bench`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

import typer

from benchmarks.bulk.cli import bench_bulk
from benchmarks.experiments.cli import bench_experiments
from benchmarks.experiments.replay_cli import bench_replay
from benchmarks.experiments.verdicts_cli import verdicts
from benchmarks.serving.cli import bench_serve
from benchmarks.training.quality_cli import ptb, steering, vocabulary
from benchmarks.training.ranking_cli import learning, value_ranking, version_order
from benchmarks.training.speed_cli import candidates_cost, corpus, decode_speed, train_speed

app_bench = typer.Typer(help="Benchmarks with baselines.")

_COMMANDS: Final[Mapping[str, Callable[..., None]]] = {
    "corpus": corpus,
    "steering": steering,
    "learning": learning,
    "value-ranking": value_ranking,
    "version-order": version_order,
    "train": train_speed,
    "decode": decode_speed,
    "candidates": candidates_cost,
    "vocabulary": vocabulary,
    "ptb": ptb,
    "serve": bench_serve,
    "bulk": bench_bulk,
    "experiments": bench_experiments,
    "verdicts": verdicts,
    "replay": bench_replay,
}
for _name, _command in _COMMANDS.items():
    app_bench.command(_name)(_command)
