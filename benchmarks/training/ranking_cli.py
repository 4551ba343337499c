"""Command that measures ranking by value: `deephypebot bench value-ranking`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from benchmarks.training.options import (
    CuratorOption,
    FinishedPresetOption,
    FinishedWorkspaceOption,
    JsonOption,
    QuickOption,
    SeedsOption,
    SetOption,
    VerdictsOption,
)
from benchmarks.training.quality_cli import counts


def value_ranking(
    corpus: Annotated[Path, typer.Argument(help="Folder of the corpus that the models were trained on.")],
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
    costs = cost(bench.base, bench.valued(CURATORS[0], 200, seed=0), rounds=2 if quick else rounds)
    finish("value-ranking", {**summary(results), "cost": costs}, json_path, digits=3)
