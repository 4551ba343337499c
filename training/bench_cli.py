"""`deephypebot bench`: measurements of the training side."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app_bench = typer.Typer(help="Measurements, each with what it is compared with in the same run.")

JsonOption = Annotated[Path | None, typer.Option("--json", help="Also write the figures to this file.")]
QuickOption = Annotated[bool, typer.Option("--quick", help="Few samples: to see that it runs, not to believe it.")]


@app_bench.callback()
def _bench() -> None:
    """Keep `bench` a group while it has one command."""


@app_bench.command("steering")
def steering(
    corpus: Annotated[Path, typer.Argument(help="Folder of the corpus that the model was trained on.")],
    *,
    model: Annotated[
        str | None,
        typer.Option(help="lcgan/VERSION, or a stage's folder; by default the newest LC-GAN of this corpus."),
    ] = None,
    samples: Annotated[int, typer.Option(min=50, help="Sentences per way and seed.")] = 1700,
    seeds: Annotated[int, typer.Option(min=1, help="Sets of sentences per way.")] = 3,
    best_of: Annotated[str, typer.Option(help="Numbers of candidates to choose from.")] = "4,16",
    workspace: Annotated[
        Path, typer.Option(envvar="DEEPHYPEBOT_WORKSPACE", help="Folder of the stages; keeps the judges.")
    ] = Path("workspace"),
    quick: QuickOption = False,
    json_path: JsonOption = None,
) -> None:
    """Compare the generator with other ways to a topic: z / 2, truncated prior, gradient steps, best of k.

    Judged by a second LDA and by a classifier that the reward never saw; at equal cost, which is shown.

        deephypebot bench steering workspace/corpora/posts

        deephypebot bench steering workspace/corpora/posts --model lcgan/2 --quick
    """
    from rich.console import Console

    from training.benchmark import finish
    from training.corpus import load_corpus
    from training.steering_bench import SteeringPlan, compare, find_model, steering_table

    console = Console()
    loaded = load_corpus(corpus)
    plan = SteeringPlan(
        samples=200 if quick else samples,
        seeds=1 if quick else seeds,
        candidates=(4,) if quick else tuple(int(each) for each in best_of.split(",")),
        workspace=workspace,
    )
    folder = find_model(model, workspace, loaded)
    report = compare(folder, loaded, plan, console)
    console.print(steering_table(report))
    finish("steering", report.figures(), json_path)
