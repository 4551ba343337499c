"""Commands that measure what verdicts teach: `deephypebot bench learning`, `value-ranking` and `version-order`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from benchmarks.training.options import (
    CompareOption,
    CorpusArgument,
    CuratorOption,
    FinishedPresetOption,
    FinishedWorkspaceOption,
    JsonOption,
    QuickOption,
    SeedsOption,
    SetOption,
    VerdictsOption,
    WeightOption,
)
from benchmarks.training.quality_cli import counts
from training.verdicts.settings import DEFAULT_WEIGHT

if TYPE_CHECKING:
    from benchmarks.training.learned_versions import LearnedVersions


def value_ranking(
    corpus: CorpusArgument,
    *,
    verdicts: VerdictsOption = "70,200",
    curator: CuratorOption = None,
    seeds: SeedsOption = 3,
    songs: Annotated[
        int, typer.Option(min=20, help="Songs on which the rules are compared, three samples each.")
    ] = 200,
    rounds: Annotated[int, typer.Option(min=1, help="Batches of each size by which the cost is measured.")] = 15,
    preset: FinishedPresetOption = "demo",
    settings: SetOption = None,
    workspace: FinishedWorkspaceOption = Path("workspace"),
    quick: QuickOption = False,
    json_path: JsonOption = None,
) -> None:
    """Compare the best of 16 candidates by the score, by the value that simulated curators taught, and by both.

    deephypebot bench value-ranking workspace/corpora/sample
    """
    from rich.console import Console

    from benchmarks.training.curators import CURATORS, check_names
    from benchmarks.training.value_ranking import ValueRanking, cost, summary
    from foundation.result_line import finish
    from training.corpus import load_corpus
    from training.presets import preset as find_preset

    check_names(curator or ())
    console = Console()
    bench = ValueRanking(
        corpus=load_corpus(corpus),
        settings=find_preset(preset).with_overrides(settings or []),
        workspace=workspace,
        songs=20 if quick else songs,
        tell=lambda line: console.print(line, soft_wrap=True, markup=False, highlight=False),
    )
    results = list(bench.run(counts(verdicts, "--verdicts"), range(1 if quick else seeds), curator or ()))
    ways = bench.ways(bench.valued(CURATORS[0], 200, seed=0))
    costs = cost(bench.base, ways, rounds=2 if quick else rounds)
    finish("value-ranking", {**summary(results), "cost": costs}, json_path, digits=3)


def version_order(
    corpus: CorpusArgument,
    *,
    curator: CuratorOption = None,
    seeds: SeedsOption = 3,
    exposures: Annotated[int, typer.Option(min=20, help="Past requests that every version answers again.")] = 1000,
    num_samples: CompareOption = 1500,
    weight: WeightOption = DEFAULT_WEIGHT,
    preset: FinishedPresetOption = "demo",
    settings: SetOption = None,
    workspace: FinishedWorkspaceOption = Path("workspace"),
    quick: QuickOption = False,
    json_path: JsonOption = None,
) -> None:
    """Rank six versions by replay and a value function, and by the simulated curator that taught it: Kendall's tau.

    Versions that `bench learning` trained with the same options are used again.

        deephypebot bench version-order workspace/corpora/sample
    """
    from benchmarks.training.curators import check_names
    from benchmarks.training.version_order import run, summary
    from foundation.result_line import finish

    check_names(curator or ())
    versions, tell = learned_versions(
        corpus, settings, preset=preset, workspace=workspace, requests=200 if quick else num_samples, weight=weight
    )
    orders = run(
        versions, range(1 if quick else seeds), exposures=100 if quick else exposures, names=curator or (), tell=tell
    )
    finish("version-order", summary(list(orders)), json_path, digits=3)


def learning(
    corpus: CorpusArgument,
    *,
    verdicts: VerdictsOption = "70,200",
    curator: CuratorOption = None,
    seeds: SeedsOption = 3,
    num_samples: CompareOption = 1500,
    weight: WeightOption = DEFAULT_WEIGHT,
    preset: FinishedPresetOption = "demo",
    settings: SetOption = None,
    workspace: FinishedWorkspaceOption = Path("workspace"),
    quick: QuickOption = False,
    json_path: JsonOption = None,
) -> None:
    """Let simulated curators judge an lcgan, train on their verdicts, and let them judge what was learned, as served.

    After an interruption, the same command continues: trained versions are kept in the workspace's folder learning.

        deephypebot bench learning workspace/corpora/sample
    """
    from benchmarks.training.curators import check_names
    from benchmarks.training.learning import run, summary
    from foundation.result_line import finish

    check_names(curator or ())
    numbers = counts(verdicts, "--verdicts")
    versions, tell = learned_versions(
        corpus, settings, preset=preset, workspace=workspace, requests=200 if quick else num_samples, weight=weight
    )
    results = run(versions, numbers, range(1 if quick else seeds), names=curator or (), tell=tell)
    finish("learning", summary(list(results)), json_path, digits=3)


def learned_versions(
    corpus: Path, settings: list[str] | None, *, preset: str, workspace: Path, requests: int, weight: float
) -> tuple[LearnedVersions, Callable[[str], None]]:
    """Return the finished training of the options, and what prints a line."""
    from rich.console import Console

    from benchmarks.training.learned_versions import LearnedVersions
    from training.corpus import load_corpus
    from training.presets import preset as find_preset

    console = Console()
    versions = LearnedVersions(
        corpus=load_corpus(corpus),
        settings=find_preset(preset).with_overrides(settings or []),
        workspace=workspace,
        requests=requests,
        weight=weight,
    )
    return versions, lambda line: console.print(line, soft_wrap=True, markup=False, highlight=False)
