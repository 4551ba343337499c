"""Command that measures ranking by value: `deephypebot bench value-ranking`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from benchmarks.training.options import JsonOption, QuickOption, SetOption
from benchmarks.training.quality_cli import counts


def value_ranking(
    corpus: Annotated[Path, typer.Argument(help="Folder of the corpus that the models were trained on.")],
    *,
    verdicts: Annotated[str, typer.Option(help="Numbers of verdicts to learn from, separated by commas.")] = "70,200",
    curator: Annotated[
        list[str] | None, typer.Option(help="A simulated curator by its name; repeatable. All by default.")
    ] = None,
    seeds: Annotated[int, typer.Option(min=1, help="Number of seeds, each with tastes and verdicts of its own.")] = 3,
    songs: Annotated[
        int, typer.Option(min=20, help="Songs on which the rules are compared, three samples each.")
    ] = 200,
    rounds: Annotated[int, typer.Option(min=1, help="Batches of each size by which the cost is measured.")] = 15,
    preset: Annotated[str, typer.Option(help="Named settings of the training that is in the workspace.")] = "demo",
    settings: SetOption = None,
    workspace: Annotated[
        Path, typer.Option(envvar="DEEPHYPEBOT_WORKSPACE", help="Folder of the stages of a finished training.")
    ] = Path("workspace"),
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
