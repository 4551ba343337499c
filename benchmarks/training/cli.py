"""`deephypebot bench`: measurements of the training side."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from handlers.model.bundle import Bundle

app_bench = typer.Typer(help="Benchmarks with baselines.")

JsonOption = Annotated[Path | None, typer.Option("--json", help="Also write the figures to this file.")]
DeviceOption = Annotated[str, typer.Option(help="Where to train: cpu, cuda, cuda:1.")]
PrecisionOption = Annotated[
    str, typer.Option(help="fp32, bf16 (the output layer's products), or auto: bf16 on a GPU that has it.")
]
SetOption = Annotated[
    list[str] | None, typer.Option("--set", help="One setting, as in cvae.batch_size=256; may be repeated.")
]
QuickOption = Annotated[bool, typer.Option("--quick", help="Few samples: to see that it runs, not to believe it.")]


@app_bench.callback()
def _bench() -> None:
    """Keep `bench` a group, whatever the number of its commands."""


@app_bench.command("corpus")
def corpus(
    posts: Annotated[
        Path | None,
        typer.Argument(help="File of posts; made-up ones without."),
    ] = None,
    *,
    num_posts: Annotated[
        int, typer.Option("--posts", min=100, help="Posts of the smaller build; the larger one has ten times as many.")
    ] = 5000,
    jobs: Annotated[int, typer.Option(min=0, help="Processes that clean; 0 for one per core.")] = 0,
    quick: QuickOption = False,
    json_path: JsonOption = None,
) -> None:
    """Build a corpus, then one of ten times the posts: sentences a minute, and what they cost in time and memory.

    deephypebot bench corpus

    deephypebot bench corpus posts.jsonl.gz --posts 3000
    """
    from rich.console import Console

    from benchmarks.training.corpus import bench_corpus
    from foundation.processors import num_processors
    from foundation.result_line import finish

    console = Console()
    with console.status("building corpora"):
        report = bench_corpus(posts, num_posts=400 if quick else num_posts, jobs=jobs or num_processors())
    console.print(report.table())
    finish("corpus", report.figures(), json_path)


@app_bench.command("steering")
def steering(
    corpus: Annotated[Path, typer.Argument(help="Folder of the corpus that the model was trained on.")],
    *,
    model: Annotated[
        str | None,
        typer.Option(
            help="lcgan/2, lcgan@champion, or a bundle's folder; by default the newest LC-GAN of this corpus."
        ),
    ] = None,
    samples: Annotated[int, typer.Option(min=50, help="Sentences per way and seed.")] = 1700,
    seeds: Annotated[int, typer.Option(min=1, help="Sets of sentences per way.")] = 3,
    best_of: Annotated[str, typer.Option(help="Numbers of candidates to choose from.")] = "4,16",
    workspace: Annotated[
        Path, typer.Option(envvar="DEEPHYPEBOT_WORKSPACE", help="Folder of the stages; keeps the judges.")
    ] = Path("workspace"),
    tracking_uri: Annotated[
        str | None,
        typer.Option(
            help="MLflow's address, for versions of elsewhere. Default: MLFLOW_TRACKING_URI, else the workspace."
        ),
    ] = None,
    quick: QuickOption = False,
    json_path: JsonOption = None,
) -> None:
    """Compare the generator with other ways to a topic: z / 2, truncated prior, gradient steps, best of k.

    Judged by a second LDA and by a classifier that the reward never saw; at equal cost, which is shown.

        deephypebot bench steering workspace/corpora/posts

        deephypebot bench steering workspace/corpora/posts --model lcgan/2 --quick
    """
    import tempfile

    from rich.console import Console

    from benchmarks.training.steering import SteeringPlan, compare, find_model, steering_table
    from foundation.result_line import finish
    from training.corpus import load_corpus
    from training.options import default_tracking_uri, make_tracker

    console = Console()
    loaded = load_corpus(corpus)
    plan = SteeringPlan(
        samples=200 if quick else samples,
        seeds=1 if quick else seeds,
        candidates=(4,) if quick else counts(best_of),
        workspace=workspace,
    )
    with tempfile.TemporaryDirectory() as scratch:

        def fetch(uri: str) -> Path:
            tracker = make_tracker(tracking_uri or default_tracking_uri(workspace), workspace)
            return tracker.fetch(uri, Path(scratch)).bundle

        report = compare(find_model(model, workspace, loaded, fetch), loaded, plan, console)
    console.print(steering_table(report))
    finish("steering", report.figures(), json_path)


def counts(text: str) -> tuple[int, ...]:
    """Numbers of candidates as `--best-of` takes them.

    Raises:
        SettingError: something else than numbers.

    >>> counts("4, 16")
    (4, 16)
    """
    from training.errors import SettingError

    try:
        return tuple(int(each) for each in text.split(","))
    except ValueError as cause:
        raise SettingError(f"--best-of takes numbers of candidates, as in 4,16; got {text!r}") from cause


@app_bench.command("train")
def train_speed(
    corpus: Annotated[
        Path | None, typer.Argument(help="Folder of a corpus; invented posts, made at once, without it.")
    ] = None,
    *,
    preset: Annotated[str, typer.Option(help="Named set of settings, whose sizes are measured.")] = "reference",
    settings: SetOption = None,
    device: DeviceOption = "cpu",
    precision: PrecisionOption = "auto",
    quick: QuickOption = False,
    json_path: JsonOption = None,
) -> None:
    """Measure how fast the CVAE trains: tokens/s, the share of this machine's matrix products, the original's way.

    Steps of the real training loop, as long of square matrix products, and sentences trained the original's way (one
    at a time, one token at a time), in turns; medians of the turns.

        deephypebot bench train workspace/corpora/posts

        OMP_NUM_THREADS=1 deephypebot bench train --quick
    """
    from rich.console import Console

    from benchmarks.training.train import TrainBenchPlan, bench_sentences, measure_training, speed_table
    from foundation.result_line import finish
    from training.console import stage_bars
    from training.options import usable_device, use_bf16
    from training.presets import preset as find_preset

    console = Console()
    chosen = find_preset(preset).with_overrides(settings or []).cvae
    device = usable_device(device)
    bf16 = use_bf16(precision, device)
    with console.status("reading sentences"):
        config, sentences = bench_sentences(corpus, chosen, quick=quick)
    plan = TrainBenchPlan(rounds=3, steps=2, sentences=2) if quick else TrainBenchPlan()
    with stage_bars(console) as bars:
        speed = measure_training(
            config, chosen, sentences, plan, device=device, bf16=bf16, progress=bars.watch("rounds")
        )
    console.print(speed_table(speed))
    finish("train", {**speed.figures(), "vocabulary": config.vocabulary_size, "preset": preset}, json_path)


@app_bench.command("decode")
def decode_speed(
    bundle: Annotated[
        Path | None, typer.Argument(help="Folder of a model's bundle; random weights of a preset's sizes without it.")
    ] = None,
    *,
    preset: Annotated[
        str, typer.Option(help="Named set of settings, whose sizes the random weights have.")
    ] = "reference",
    rows: Annotated[int, typer.Option(min=2, max=240, help="Rows, and slots, of the larger decode.")] = 64,
    threads: Annotated[int, typer.Option(min=1, help="Of torch; with one the clock is processor time.")] = 1,
    device: Annotated[
        str, typer.Option(help="cpu, or cuda, cuda:1: then by CUDA events, and against what the GPU can do.")
    ] = "cpu",
    plot: Annotated[Path | None, typer.Option(help="Also draw what a row costs, as PNG; on the CPU.")] = None,
    corpus: Annotated[
        Path | None,
        typer.Option(help="Folder of a corpus: also score its valid split with the bundle, in every precision."),
    ] = None,
    quick: QuickOption = False,
    json_path: JsonOption = None,
) -> None:
    """Measure how fast the worker decodes: rooflines, a plain batched loop and the original's way in the same run.

    deephypebot bench decode

    deephypebot bench decode workspace/stages/cvae-1a2b3c/bundle --corpus workspace/corpus --plot decode.png

    deephypebot bench decode --device cuda
    """
    import torch
    from rich.console import Console

    from benchmarks.training.decode import DecodeBenchPlan, decode_table, measure_decoding, plot_decoding, random_bundle
    from benchmarks.training.precision_cost import bits_per_character
    from foundation.result_line import finish
    from handlers.model.bundle import Bundle
    from training.console import stage_bars
    from training.corpus.store import load_corpus
    from training.errors import SettingError
    from training.presets import preset as find_preset

    console = Console()
    if corpus is not None and bundle is None:
        raise SettingError("--corpus scores a bundle's own sentences: give the bundle as well")
    model = Bundle.load(bundle) if bundle else random_bundle(find_preset(preset).cvae)
    if device != "cpu":
        _gpu_decode_speed(model, device, rows, quick=quick, json_path=json_path)
        return
    torch.set_num_threads(threads)
    plan = DecodeBenchPlan(rows=rows)
    if quick:
        plan = DecodeBenchPlan(rows=rows, steps=8, rounds=2, scaling=(64, 256), scaling_steps=4, original_words=20_000)
    with stage_bars(console) as bars:
        speed = measure_decoding(model, plan, progress=bars.watch("rounds"))
        costs = {}
        if bundle is not None and corpus is not None:
            most = 64 if quick else 1000
            costs = bits_per_character(bundle, load_corpus(corpus), most=most, progress=bars.watch("sentences"))
    console.print(decode_table(speed))
    for name, bits in costs.items():
        console.print(f"{name}: {bits:.4f} bits per character of held-out sentences, their thought vectors given")
    if plot is not None:
        plot_decoding(speed, plot)
    finish("decode", {**speed.figures(), "bits_per_character": costs}, json_path)


def _gpu_decode_speed(model: Bundle, device: str, rows: int, *, quick: bool, json_path: Path | None) -> None:
    import torch
    from rich.console import Console

    from benchmarks.training.gpu_decode import GpuBenchPlan, gpu_table, measure_gpu_decoding
    from foundation.result_line import finish
    from training.console import stage_bars
    from training.options import usable_device

    console, plan = Console(), GpuBenchPlan(rows=rows, rounds=2 if quick else 9)
    found = torch.device(usable_device(device))
    with stage_bars(console) as bars:
        speed = measure_gpu_decoding(model, plan, found, progress=bars.watch("rounds"))
    console.print(gpu_table(speed, plan))
    finish("decode", speed.figures(), json_path)


@app_bench.command("vocabulary")
def vocabulary(
    corpus: Annotated[Path, typer.Argument(help="Folder of a corpus.")],
    *,
    minutes: Annotated[
        float, typer.Option(min=0.01, help="Processor time that each choice is trained for, with one thread.")
    ] = 5.0,
    choices: Annotated[
        str | None,
        typer.Option(
            help="KIND:TOKENS[:EMBEDDING] of subwords or words, and original, its untied layer over every word; "
            "separated by commas. Subwords of four sizes, words, three embeddings and the original by default."
        ),
    ] = None,
    preset: Annotated[str, typer.Option(help="Named set of settings, for all that is not compared.")] = "reference",
    settings: SetOption = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of everything random.")] = 7,
    workspace: Annotated[
        Path, typer.Option(envvar="DEEPHYPEBOT_WORKSPACE", help="Its folder vocabulary keeps what was trained.")
    ] = Path("workspace"),
    plot: Annotated[Path | None, typer.Option(help="Also draw bits per character over speed, as PNG.")] = None,
    quick: QuickOption = False,
    json_path: JsonOption = None,
) -> None:
    """Compare vocabularies and output layers: held-out bits per character beside sentences/s, at equal training time.

    Interrupted, the same command goes on. What has been trained is kept; the decodes are measured anew each time.

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
    console.print(vocabulary_table(comparison))
    if plot is not None:
        plot_vocabularies(comparison, plot)
    finish("vocabulary", comparison.figures(), json_path)


@app_bench.command("ptb")
def ptb(
    folder: Annotated[Path, typer.Argument(help="Folder of Penn Treebank: ptb.train.txt (or .gz), valid, test.")],
    *,
    settings: SetOption = None,
    budget: Annotated[str | None, typer.Option(help="Time for the training, as in 90m; no limit by default.")] = None,
    samples: Annotated[int, typer.Option(min=1, help="Importance samples per sentence.")] = 500,
    trained: Annotated[
        Path | None, typer.Option("--from", help="Score this checkpoint or file of weights; do not train.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of everything random.")] = 7,
    device: DeviceOption = "cpu",
    precision: PrecisionOption = "auto",
    workspace: Annotated[
        Path, typer.Option(envvar="DEEPHYPEBOT_WORKSPACE", help="Its folder ptb keeps checkpoint and figures so far.")
    ] = Path("workspace"),
    quick: QuickOption = False,
    json_path: JsonOption = None,
) -> None:
    """Train and score on Penn Treebank as the published tables do, and print our row below theirs.

    Interrupted while it trains or scores, the same command goes on.

        deephypebot bench ptb data/ptb --budget 2h

        deephypebot bench ptb data/ptb --from workspace/ptb/checkpoint.pt
    """
    from rich.console import Console

    from benchmarks.training.ptb import PtbPlan, bench_ptb, ptb_table, quick_treebank
    from benchmarks.training.treebank import load_treebank
    from foundation.result_line import finish
    from training.console import stage_bars
    from training.options import seconds, usable_device, use_bf16
    from training.presets import preset as find_preset

    console = Console()
    device = usable_device(device)
    plan = PtbPlan(
        folder=workspace / "ptb",
        settings=find_preset("ptb").with_overrides(settings or []).cvae,
        seed=seed,
        num_samples=samples,
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
    console.print(ptb_table(figures))
    finish("ptb", figures, json_path)
