"""Commands that measure speed: `deephypebot bench corpus`, `bench train`, `bench decode` and `bench candidates`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from benchmarks.training.options import DeviceOption, JsonOption, PrecisionOption, QuickOption, SetOption

if TYPE_CHECKING:
    from handlers.model.bundle import Bundle


def corpus(
    posts: Annotated[
        Path | None,
        typer.Argument(help="File of posts; generated posts by default."),
    ] = None,
    *,
    num_posts: Annotated[
        int, typer.Option("--posts", min=100, help="Posts of the smaller build; the larger one has ten times as many.")
    ] = 5000,
    jobs: Annotated[int, typer.Option(min=0, help="Number of cleaning processes; 0 for one per core.")] = 0,
    quick: QuickOption = False,
    json_path: JsonOption = None,
) -> None:
    """Measure building a corpus and one of ten times the posts: sentences per minute, time and memory.

    deephypebot bench corpus

    deephypebot bench corpus posts.jsonl.gz --posts 3000
    """
    from rich.console import Console

    from benchmarks.training.corpus import bench_corpus
    from foundation.processors import num_processors
    from foundation.result_line import finish
    from foundation.terminal import show

    console = Console()
    with console.status("building corpora"):
        report = bench_corpus(
            posts, num_posts=min(num_posts, 400) if quick else num_posts, jobs=jobs or num_processors()
        )
    show(report.table(), console=console)
    finish("corpus", report.figures(), json_path)


def train_speed(
    corpus: Annotated[
        Path | None, typer.Argument(help="Folder of a corpus; by default one is built from generated posts.")
    ] = None,
    *,
    preset: Annotated[str, typer.Option(help="Named settings, whose sizes are measured.")] = "reference",
    settings: SetOption = None,
    device: DeviceOption = "cpu",
    precision: PrecisionOption = "auto",
    quick: QuickOption = False,
    json_path: JsonOption = None,
) -> None:
    """Measure training speed of the CVAE against the machine's matrix products and the original implementation.

    Each round measures steps of the real training loop, square matrix products for as long, and sentences trained as
    the original does, one at a time and token by token. Figures are medians of the rounds.

        deephypebot bench train workspace/corpora/posts

        OMP_NUM_THREADS=1 deephypebot bench train --quick
    """
    from rich.console import Console

    from benchmarks.training.train import TrainBenchPlan, bench_sentences, measure_training, speed_table
    from foundation.result_line import finish
    from foundation.terminal import show
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
    show(speed_table(speed), console=console)
    finish("train", {**speed.figures(), "vocabulary": config.vocabulary_size, "preset": preset}, json_path)


def decode_speed(
    bundle: Annotated[
        Path | None, typer.Argument(help="Folder of a model's bundle; by default random weights of a preset's sizes.")
    ] = None,
    *,
    preset: Annotated[str, typer.Option(help="Named settings, whose sizes the random weights have.")] = "reference",
    sequences: Annotated[int, typer.Option(min=2, max=240, help="Sequences, and slots, of the larger decode.")] = 64,
    threads: Annotated[int, typer.Option(min=1, help="Threads of torch; with one, processor time is measured.")] = 1,
    device: Annotated[
        str,
        typer.Option(help="Device: cpu, cuda or cuda:1; a GPU is measured by CUDA events, against its own rooflines."),
    ] = "cpu",
    plot: Annotated[
        Path | None, typer.Option(help="Also plot time over the number of sequences, as PNG; for the CPU only.")
    ] = None,
    corpus: Annotated[
        Path | None,
        typer.Option(help="Folder of a corpus whose valid split is also scored with the bundle, in every precision."),
    ] = None,
    quick: QuickOption = False,
    json_path: JsonOption = None,
) -> None:
    """Measure decode speed of the worker against rooflines, a plain batched loop and the original implementation.

    deephypebot bench decode

    deephypebot bench decode workspace/stages/cvae-1a2b3c/bundle --corpus workspace/corpus --plot decode.png

    deephypebot bench decode --device cuda
    """
    import torch
    from rich.console import Console

    from benchmarks.training.decode import DecodeBenchPlan, decode_table, measure_decoding, plot_decoding, random_bundle
    from benchmarks.training.precision_cost import bits_per_character
    from foundation.result_line import finish
    from foundation.terminal import show
    from handlers.model.bundle import Bundle
    from training.console import stage_bars
    from training.corpus.store import load_corpus
    from training.errors import SettingError
    from training.presets import preset as find_preset

    console = Console()
    if corpus is not None and bundle is None:
        raise SettingError("--corpus needs a bundle to score it with: give the bundle as well")
    model = Bundle.load(bundle) if bundle else random_bundle(find_preset(preset).cvae)
    if device != "cpu":
        _gpu_decode_speed(model, device, sequences, quick=quick, json_path=json_path)
        return
    torch.set_num_threads(threads)
    plan = DecodeBenchPlan(sequences=sequences)
    if quick:
        plan = DecodeBenchPlan(
            sequences=sequences, steps=8, rounds=2, scaling=(64, 256), scaling_steps=4, original_words=20_000
        )
    with stage_bars(console) as bars:
        speed = measure_decoding(model, plan, progress=bars.watch("rounds"))
        costs = {}
        if bundle is not None and corpus is not None:
            count = 64 if quick else 1000
            costs = bits_per_character(
                bundle, load_corpus(corpus), num_sentences=count, progress=bars.watch("sentences")
            )
    show(decode_table(speed), console=console)
    for name, bits in costs.items():
        console.print(f"{name}: {bits:.4f} bits per character of held-out sentences, given their latent vectors")
    if plot is not None:
        plot_decoding(speed, plot)
    finish("decode", {**speed.figures(), "bits_per_character": costs}, json_path)


def _gpu_decode_speed(model: Bundle, device: str, sequences: int, *, quick: bool, json_path: Path | None) -> None:
    import torch
    from rich.console import Console

    from benchmarks.training.gpu_decode import GpuBenchPlan, gpu_table, measure_gpu_decoding
    from foundation.result_line import finish
    from foundation.terminal import show
    from training.console import stage_bars
    from training.options import usable_device

    console, plan = Console(), GpuBenchPlan(sequences=sequences, rounds=2 if quick else 9)
    found = torch.device(usable_device(device))
    with stage_bars(console) as bars:
        speed = measure_gpu_decoding(model, plan, found, progress=bars.watch("rounds"))
    show(gpu_table(speed, plan), console=console)
    finish("decode", speed.figures(), json_path)


def candidates_cost(
    bundle: Annotated[Path, typer.Argument(help="Folder of a model's bundle.")],
    *,
    rounds: Annotated[
        int, typer.Option(min=1, help="Single requests of each size and way; batches are a quarter as many.")
    ] = 24,
    quick: QuickOption = False,
    json_path: JsonOption = None,
) -> None:
    """Measure the cost of the choice between candidates and of the lexicon, in processor time of one thread.

    One candidate per sample, the model's default number, and the default without the lexicon answer the same requests
    in turns.

        deephypebot bench candidates workspace/stages/lcgan-1a2b3c/bundle
    """
    from rich.console import Console

    from benchmarks.training.candidates import LOADS, QUICK_LOADS, candidates_table, figures, measure_candidates
    from foundation.result_line import finish
    from foundation.terminal import show
    from handlers.model.bundle import Bundle
    from training.console import stage_bars

    console, model = Console(), Bundle.load(bundle)
    with stage_bars(console) as bars:
        loads = QUICK_LOADS if quick else LOADS
        costs = measure_candidates(model, rounds=2 if quick else rounds, loads=loads, progress=bars.watch("rounds"))
    show(candidates_table(costs), console=console)
    finish("candidates", figures(model, costs), json_path)
