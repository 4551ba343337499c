"""Commands that measure quality: `deephypebot bench steering`, `bench vocabulary` and `bench ptb`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from benchmarks.training.options import (
    DeviceOption,
    JsonOption,
    PrecisionOption,
    QuickOption,
    SetOption,
)


def steering(
    corpus: Annotated[Path, typer.Argument(help="Folder of the corpus that the model was trained on.")],
    *,
    model: Annotated[
        str | None,
        typer.Option(
            help="Model: lcgan/2, lcgan@champion, or a bundle's folder; by default the newest LC-GAN of this corpus."
        ),
    ] = None,
    num_samples: Annotated[int, typer.Option(min=50, help="Sentences per method and seed.")] = 1700,
    seeds: Annotated[int, typer.Option(min=1, help="Number of seeds, each with its own sentences per method.")] = 3,
    best_of: Annotated[str, typer.Option(help="Numbers of candidates to choose the best from.")] = "4,16",
    workspace: Annotated[
        Path, typer.Option(envvar="DEEPHYPEBOT_WORKSPACE", help="Folder of the stages; the judges are kept there too.")
    ] = Path("workspace"),
    tracking_uri: Annotated[
        str | None,
        typer.Option(
            help="Address of MLflow, for versions that were trained elsewhere. Default: MLFLOW_TRACKING_URI, else a "
            "database in the workspace."
        ),
    ] = None,
    quick: QuickOption = False,
    json_path: JsonOption = None,
) -> None:
    """Compare the generator with other ways of steering: z / 2, truncated prior, gradient steps, best of k.

    The judges are a second LDA and a classifier, neither of which is part of the reward. The cost of each way is shown.

        deephypebot bench steering workspace/corpora/posts

        deephypebot bench steering workspace/corpora/posts --model lcgan/2 --quick
    """
    import tempfile

    from rich.console import Console

    from benchmarks.training.steering import SteeringPlan, compare, find_model, steering_table
    from foundation.result_line import finish
    from foundation.terminal import show
    from training.corpus import load_corpus
    from training.options import default_tracking_uri, open_registry

    console = Console()
    loaded = load_corpus(corpus)
    plan = SteeringPlan(
        samples=200 if quick else num_samples,
        seeds=1 if quick else seeds,
        candidates=(4,) if quick else counts(best_of),
        workspace=workspace,
    )
    with tempfile.TemporaryDirectory() as scratch:

        def fetch(uri: str) -> Path:
            tracker = open_registry(tracking_uri or default_tracking_uri(workspace), workspace)
            return tracker.fetch(uri, Path(scratch)).bundle

        report = compare(find_model(model, workspace, loaded, fetch), loaded, plan, console)
    show(steering_table(report), console=console)
    finish("steering", report.figures(), json_path)


def counts(text: str, option: str = "--best-of") -> tuple[int, ...]:
    """Parse the numbers of an option.

    Raises:
        SettingError: the text does not consist of integers and commas.

    >>> counts("4, 16")
    (4, 16)
    """
    from training.errors import SettingError

    try:
        return tuple(int(each) for each in text.split(","))
    except ValueError as cause:
        raise SettingError(f"{option} takes numbers, as in 4,16; got {text!r}") from cause


def vocabulary(
    corpus: Annotated[Path, typer.Argument(help="Folder of a corpus.")],
    *,
    minutes: Annotated[
        float,
        typer.Option(min=0.01, help="Processor time for the training of each choice, in minutes, with one thread."),
    ] = 5.0,
    choices: Annotated[
        str | None,
        typer.Option(
            help="Choices separated by commas: KIND:TOKENS[:EMBEDDING], where KIND is subwords or words, or original: "
            "an untied layer over every word. Default: four sizes of subwords, words, two other embeddings, original."
        ),
    ] = None,
    preset: Annotated[str, typer.Option(help="Named settings for everything that is not compared.")] = "reference",
    settings: SetOption = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of all random numbers.")] = 7,
    workspace: Annotated[
        Path,
        typer.Option(envvar="DEEPHYPEBOT_WORKSPACE", help="Workspace; its folder vocabulary keeps the trained models."),
    ] = Path("workspace"),
    plot: Annotated[Path | None, typer.Option(help="Also plot bits per character over decode speed, as PNG.")] = None,
    quick: QuickOption = False,
    json_path: JsonOption = None,
) -> None:
    """Compare vocabularies and output layers by held-out bits per character and sentences/s, at equal training time.

    After an interruption, the same command continues. Trained models are kept; decode speed is measured each time.

        deephypebot bench vocabulary workspace/corpora/posts --plot vocabulary.png

        deephypebot bench vocabulary workspace/corpora/posts --choices subwords:8000,words:15000 --minutes 8
    """
    import torch
    from rich.console import Console

    from benchmarks.training.equal_time import Budget
    from benchmarks.training.structures import choices_of
    from benchmarks.training.vocabulary import (
        DEFAULT_CHOICES,
        SpeedPlan,
        compare_vocabularies,
        plot_vocabularies,
        vocabulary_table,
    )
    from foundation.result_line import finish
    from foundation.terminal import show
    from training.console import stage_bars
    from training.corpus import load_corpus
    from training.presets import preset as find_preset

    console = Console()
    chosen = choices_of(choices or DEFAULT_CHOICES)
    base = find_preset(preset).with_overrides(settings or []).cvae
    budget, plan = Budget(settings=base, seconds=60 * minutes, seed=seed), SpeedPlan()
    if quick:
        budget = Budget(settings=base, seconds=min(2.0, 60 * minutes), seed=seed, held_out=100)
        plan = SpeedPlan(rounds=2)
    with console.status("reading the corpus"):
        loaded = load_corpus(corpus)
    torch.set_num_threads(1)
    with stage_bars(console) as bars:
        comparison = compare_vocabularies(
            chosen, loaded, budget, plan, folder=workspace / "vocabulary", progress=bars.watch
        )
    show(vocabulary_table(comparison), console=console)
    if plot is not None:
        plot_vocabularies(comparison, plot)
    finish("vocabulary", comparison.figures(), json_path)


def ptb(
    folder: Annotated[Path, typer.Argument(help="Folder of Penn Treebank: ptb.train.txt (or .gz), valid, test.")],
    *,
    settings: SetOption = None,
    budget: Annotated[str | None, typer.Option(help="Time limit of the training, as in 90m; none by default.")] = None,
    num_samples: Annotated[int, typer.Option(min=1, help="Importance samples per sentence.")] = 500,
    trained: Annotated[
        Path | None, typer.Option("--from", help="Score this checkpoint or file of weights instead of training.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of all random numbers.")] = 7,
    device: DeviceOption = "cpu",
    precision: PrecisionOption = "auto",
    workspace: Annotated[
        Path,
        typer.Option(envvar="DEEPHYPEBOT_WORKSPACE", help="Workspace; its folder ptb keeps checkpoint and scores."),
    ] = Path("workspace"),
    quick: QuickOption = False,
    json_path: JsonOption = None,
) -> None:
    """Train and score on Penn Treebank as in the published tables, and print the result beside them.

    After an interruption, the same command continues.

        deephypebot bench ptb data/ptb --budget 2h

        deephypebot bench ptb data/ptb --from workspace/ptb/checkpoint.pt
    """
    from rich.console import Console

    from benchmarks.training.ptb import PtbPlan, bench_ptb, ptb_table, quick_treebank
    from benchmarks.training.treebank import load_treebank
    from foundation.result_line import finish
    from foundation.terminal import show
    from training.console import stage_bars
    from training.options import seconds, usable_device, use_bf16
    from training.presets import preset as find_preset

    console = Console()
    device = usable_device(device)
    plan = PtbPlan(
        folder=workspace / "ptb",
        settings=find_preset("ptb").with_overrides(settings or []).cvae,
        seed=seed,
        num_samples=num_samples,
        budget_s=seconds(budget) if budget else None,
        trained=trained,
        device=device,
        bf16=use_bf16(precision, device),
    )
    with console.status("reading the Treebank"):
        treebank = load_treebank(folder)
    if quick:
        treebank, plan = quick_treebank(treebank), plan.quick()
    with stage_bars(console) as bars:
        figures = bench_ptb(treebank, plan, bars.watch)
    show(ptb_table(figures), console=console)
    finish("ptb", figures, json_path)
