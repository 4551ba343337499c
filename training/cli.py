"""Command `deephypebot train`."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from foundation.redaction import redacted
from training.verdicts.settings import DEFAULT_WEIGHT

if TYPE_CHECKING:
    from rich.console import Console

    from training.pipeline.plan import TrainReport


def train(
    corpus: Annotated[Path, typer.Argument(help="Folder that `deephypebot corpus build` wrote.")],
    *,
    preset: Annotated[str, typer.Option(help="Named settings: demo, reference or ptb.")] = "reference",
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", help="Change a setting, as in cvae.z_size=64 or lcgan.distance_weight=0.3; repeatable."),
    ] = None,
    budget: Annotated[
        str | None,
        typer.Option(
            help="Time limit of the whole training, as in 90s, 10m or 2h; a number alone is seconds. None by default."
        ),
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of all random numbers; the preset's by default.")] = None,
    resume: Annotated[
        bool, typer.Option(help="Continue from the checkpoint of an interrupted training with the same settings.")
    ] = True,
    champion: Annotated[
        bool,
        typer.Option(help="Make the new versions champions, even where they are worse than those they replace."),
    ] = False,
    verdicts: Annotated[
        Path | None,
        typer.Option(
            help="File of verdicts that `deephypebot experiment verdicts` wrote: one more lcgan learns from them and "
            "becomes the challenger."
        ),
    ] = None,
    verdicts_weight: Annotated[
        float,
        typer.Option(
            help="Weight of the verdicts beside the topics, in the loss of a generator that moves towards what is "
            "accepted (the topics' is lcgan.topic_weight); with 0 it is kept, and the version learns to rank."
        ),
    ] = DEFAULT_WEIGHT,
    device: Annotated[str, typer.Option(help="Device to train on: cpu, cuda, cuda:1.")] = "cpu",
    precision: Annotated[
        str, typer.Option(help="fp32, bf16 (for the output layer's products), or auto: bf16 on GPUs that support it.")
    ] = "auto",
    workspace: Annotated[
        Path, typer.Option(envvar="DEEPHYPEBOT_WORKSPACE", help="Folder for stages, database and artifacts.")
    ] = Path("workspace"),
    model_store: Annotated[Path, typer.Option(envvar="DEEPHYPEBOT_MODEL_STORE", help="Folder for archives.")] = Path(
        "model_store"
    ),
    tracking: Annotated[str, typer.Option(help="mlflow, or none for a host without MLflow.")] = "mlflow",
    tracking_uri: Annotated[
        str | None,
        typer.Option(help="Address of MLflow. Default: MLFLOW_TRACKING_URI, else a database in the workspace."),
    ] = None,
    signing_key: Annotated[
        Path | None,
        typer.Option(
            envvar="DEEPHYPEBOT_SIGNING_KEY",
            help="PEM file of the private key that signs the archives, from `deephypebot keys new`.",
        ),
    ] = None,
    json_path: Annotated[
        Path | None, typer.Option("--json", help="Also write the versions and their champions to this file.")
    ] = None,
) -> None:
    """Train topics, CVAE and LC-GAN; register the models and pack their archives.

    A stage is reused while its corpus and settings stay the same, so another setting of the LC-GAN does not train the
    CVAE again:

        deephypebot train workspace/corpus --preset demo

        deephypebot train workspace/corpus --preset demo --set lcgan.distance_weight=0.6

    With --verdicts, topics, CVAE and the first lcgan are reused, and only the lcgan that learns is trained:

        deephypebot train workspace/corpus --preset demo --verdicts verdicts.jsonl

    Several processes can train the CVAE data-parallel, one per GPU or a few on the CPU, on one host or several:

        torchrun --nproc-per-node 2 -m deephypebot train workspace/corpus --device cuda
    """
    from rich.console import Console

    from training.console import stage_bars
    from training.corpus import load_corpus
    from training.cvae.parallel import init_process_group
    from training.errors import TerminatedError
    from training.files import write_json
    from training.lock import TRAINING_LOCK, held_alone
    from training.options import make_tracker, read_signing_key, seconds, tracking_address, usable_device, use_bf16
    from training.pipeline.messages import announcement, notes, pages, result, stopped, warnings
    from training.pipeline.plan import TrainPlan
    from training.pipeline.training import Training
    from training.pipeline.worker_rank import run_worker_rank, shared_facts
    from training.presets import preset as find_preset
    from training.signals import raise_on_sigterm
    from training.verdicts.rows import read_verdicts

    seed_setting = "" if seed is None else f"seed={seed}"
    # `mlflow run` passes an empty string for a parameter that is not given.
    chosen = find_preset(preset).with_overrides([each for each in (*(settings or []), seed_setting) if each])
    address = tracking_address(tracking, tracking_uri, workspace)
    console = Console(quiet=os.environ.get("RANK", "0") != "0")

    def tell(line: str) -> None:
        console.print(line, soft_wrap=True, markup=False, highlight=False)

    with raise_on_sigterm(), init_process_group(device, tell) as (process_group, own_device):
        plan = TrainPlan(
            workspace=workspace,
            model_store=model_store,
            budget_s=seconds(budget) if budget else None,
            device=usable_device(own_device),
            bf16=use_bf16(precision, own_device),
            process_group=process_group,
            champion=champion,
            resume=resume,
            # Rank 0 alone learns from them, and signs; other hosts need neither file.
            verdicts=read_verdicts(verdicts) if verdicts and process_group.is_main else None,
            verdicts_weight=verdicts_weight,
            signing_key=read_signing_key(signing_key) if process_group.is_main else None,
        )

        with console.status("reading the corpus"):
            loaded = load_corpus(corpus)
        process_group.agree(shared_facts(loaded, chosen, plan))
        if not process_group.is_main:
            run_worker_rank(loaded, chosen, plan)
            return

        def waiting(holder: str) -> None:
            tell(f"another training ({holder}) uses {workspace}; this one begins when it has ended")

        with held_alone(workspace / TRAINING_LOCK, waiting):
            with console.status("opening MLflow"):
                tracker = make_tracker(address, workspace)
            with stage_bars(console) as stages:
                training = Training(corpus=loaded, settings=chosen, plan=plan, tracker=tracker, watch=stages.watch)
                expected = training.expected()
                tell(announcement(expected, plan.budget_s, training.resumes_at()))
                try:
                    report = training.run(expected)
                except (KeyboardInterrupt, TerminatedError):
                    tell(stopped(stages.last, training.resumes_at()))
                    raise
    where = ["--workspace", workspace] if workspace != Path("workspace") else []
    promote = ["--tracking-uri", redacted(tracking_uri)] if tracking_uri else where
    _show(
        console,
        report,
        [f"archives are in {model_store}", *notes(report)],
        warnings=warnings(report, len(loaded.genre_table), promote),
        pages=pages(tracker.uri, tracker.runs_page()),
    )
    if json_path is not None:
        write_json(json_path, result(report))


def _show(
    console: Console, report: TrainReport, lines: Sequence[str], *, warnings: Iterable[str], pages: Iterable[str]
) -> None:
    from rich.markup import escape

    from foundation.terminal import show
    from training.pipeline.tables import stages_table, versions_table

    show(stages_table(report.stages), versions_table(report), console=console)
    for line in lines:
        console.print(line, soft_wrap=True, markup=False, highlight=False)
    for warning in warnings:
        console.print(f"[bold yellow]warning:[/] {escape(warning)}", soft_wrap=True, highlight=False)
    for line in pages:
        console.print(line, soft_wrap=True, markup=False, highlight=False)
