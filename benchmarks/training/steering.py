"""Benchmark of steering: find the model, try each way of steering, and tabulate the figures."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.training.steering_ways import PRIOR, Measure, Outcome, sequence_sets, try_way, verdicts, ways
from handlers.model.bundle import Bundle
from training.console import stage_bars
from training.corpus import Corpus
from training.errors import SettingError
from training.evaluation.intervals import Figure
from training.evaluation.judges import fit_judges
from training.files import read_json
from training.lcgan.predictor import PREDICTOR_FILE, load_predictor

_SHARES: Final = ("reward_share", "second_lda_share", "classifier_share")
_FIRST_SEED: Final = 40_000


@dataclass(frozen=True, slots=True, kw_only=True)
class SteeringPlan:
    """Amount of work, and the workspace."""

    samples: int
    seeds: int
    candidates: tuple[int, ...]
    workspace: Path

    def __post_init__(self) -> None:
        if not self.candidates or min(self.candidates) < 2:
            raise SettingError(
                f"--best-of takes numbers of candidates of at least 2, as in 4,16; got {self.candidates}"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class SteeringReport:
    """Figures of each way of steering, after those of real text."""

    model: str
    table: Mapping[str, Mapping[str, Figure]]
    costs: Mapping[str, Outcome]
    samples: int

    def figures(self) -> dict[str, Any]:
        """Return the figures of the result line."""
        rows = {
            name: {column: figure.document() for column, figure in row.items()} | self._cost(name)
            for name, row in self.table.items()
        }
        return {"model": self.model, "samples": self.samples, "ways": rows, "goals": verdicts(self.table)}

    def _cost(self, name: str) -> dict[str, float]:
        if name not in self.costs:
            return {}
        cost = self.costs[name]
        return {
            "rows_per_sample": cost.rows_per_sample,
            "seconds_per_1000": cost.seconds_per_1000,
            "moved": cost.moved,
        }


def find_model(name: str | None, workspace: Path, corpus: Corpus, fetch: Callable[[str], Path]) -> Path:
    """Find the folder of an LC-GAN's bundle.

    Args:
        name: folder of a stage or a bundle, or a version: `lcgan/2`, `lcgan@champion`, `models:/...`. By default the
            newest LC-GAN of the corpus in the workspace.
        workspace: folder of the stages.
        corpus: corpus that the model was trained on.
        fetch: fetches the bundle of a registered version by its address in the registry.

    Raises:
        SettingError: the workspace has no LC-GAN of the corpus.
        TrackingError: the registry does not have the version.
    """
    stages = sorted(
        (path.parent for path in (workspace / "stages").glob("lcgan-*/done.json")),
        key=lambda path: (path / "done.json").stat().st_mtime,
    )
    if name is None:
        own = [path for path in stages if _corpus(path) == corpus.content_hash]
        if not own:
            raise SettingError(
                f"{workspace / 'stages'} holds no LC-GAN of this corpus; train one with `deephypebot train`, or "
                "give another model with --model"
            )
        return own[-1] / "bundle"
    for folder in (Path(name) / "bundle", Path(name)):
        if (folder / "config.json").is_file():
            return folder
    wanted = name.removeprefix("models:/")
    trained_here = [path for path in stages if _version(path) == wanted]
    return trained_here[-1] / "bundle" if trained_here else fetch(f"models:/{wanted}")


def compare(folder: Path, corpus: Corpus, plan: SteeringPlan, console: Console) -> SteeringReport:
    """Try and measure every way of steering the model whose bundle is in `folder`."""
    bundle = Bundle.load(folder)
    predictor = load_predictor(folder / PREDICTOR_FILE, bundle)
    sets = sequence_sets(bundle, corpus, plan.samples, seeds=range(_FIRST_SEED, _FIRST_SEED + plan.seeds))
    table: dict[str, Mapping[str, Figure]] = {}
    costs: dict[str, Outcome] = {}
    with stage_bars(console) as bars:
        judges = fit_judges(corpus, workspace=plan.workspace, progress=bars.watch("judges"))
        measure = Measure(bundle, corpus, judges)
        table["real text"] = measure([_real_texts(corpus, plan.samples)])
        for way in ways(bundle, predictor, candidates=plan.candidates):
            outcome = try_way(way, bundle, sets, bars.watch(way.name))
            table[way.name], costs[way.name] = measure(outcome.sets), outcome
    return SteeringReport(
        model=f"{bundle.config.model}, trained as {bundle.config.lineage.get('run_id', folder.parent.name)}",
        table=table,
        costs=costs,
        samples=plan.samples * plan.seeds,
    )


def _real_texts(corpus: Corpus, count: int) -> list[str]:
    """Sample the test split, whose sentences lie in the order of the input files and so by kind."""
    texts = corpus.part("test").texts
    chosen = np.random.default_rng(_FIRST_SEED).permutation(len(texts))[:count]
    return [texts[index] for index in chosen]


def steering_table(report: SteeringReport) -> Table:
    """Make a table of the figures."""
    columns = ("reward LDA", "second LDA", "classifier", "distinct-1", "distinct-2", "of prior", "forward PPL")
    table = Table("way", *columns, "decoded", "s / 1000", title=f"{report.model}, {report.samples} sentences per way")
    prior = report.table[PRIOR]["distinct_2"].value
    for name, row in report.table.items():
        cost = report.costs.get(name)
        table.add_row(
            name,
            *(_with_interval(row[share]) for share in _SHARES),
            f"{row['distinct_1'].value:.3f}",
            _with_interval(row["distinct_2"]),
            f"{row['distinct_2'].value / max(prior, 1e-9):.2f}",
            f"{row['forward_ppl'].value:.0f} ({row['forward_ppl'].low:.0f}-{row['forward_ppl'].high:.0f})",
            str(cost.rows_per_sample) if cost else "",
            f"{cost.seconds_per_1000:.1f}" if cost else "",
        )
    return table


def _with_interval(figure: Figure) -> str:
    return f"{figure.value:.3f} ({figure.low:.3f}-{figure.high:.3f})"


def _version(folder: Path) -> str:
    path = folder / "published.json"
    if not path.is_file():
        return ""
    record = read_json(path)
    return f"{record['name']}/{record['version']}"


def _corpus(folder: Path) -> str:
    config = folder / "bundle" / "config.json"
    return str(read_json(config)["lineage"].get("corpus", "")) if config.is_file() else ""
