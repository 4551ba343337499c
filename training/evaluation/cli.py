"""Commands `deephypebot evaluate` and `deephypebot interpolate`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from training.evaluation.plan import SERVED

Workspace = Annotated[
    Path, typer.Option(envvar="DEEPHYPEBOT_WORKSPACE", help="Folder for stages, database and artifacts.")
]
TrackingUri = Annotated[
    str | None,
    typer.Option(
        help="Address of MLflow; `none` for models from files. Default: MLFLOW_TRACKING_URI, else the workspace."
    ),
]


def evaluate(
    corpus: Annotated[Path, typer.Argument(help="Folder that `deephypebot corpus build` wrote.")],
    *,
    model: Annotated[
        list[str] | None,
        typer.Option(help="cvae/1, lcgan@champion, an archive or a bundle's folder; repeatable."),
    ] = None,
    report: Annotated[Path, typer.Option(help="Folder for report.html and report.json.")] = Path("report"),
    baseline: Annotated[
        list[str] | None,
        typer.Option(help="NAME=FILE: a row of texts from a file, one per line; repeatable."),
    ] = None,
    num_samples: Annotated[int, typer.Option("--num-samples", "-n", help="Samples per row and seed.")] = 5000,
    seeds: Annotated[int, typer.Option(help="Number of seeds.")] = 3,
    best_of: Annotated[
        int | None,
        typer.Option(
            help="Candidates per sample of each model's second row, by default as served; 1 leaves the row out."
        ),
    ] = SERVED.best_of,
    temperature: Annotated[float, typer.Option(help="Sampling temperature.")] = SERVED.sampling.temperature,
    top_p: Annotated[float, typer.Option(help="Nucleus sampling threshold.")] = SERVED.sampling.top_p,
    guidance: Annotated[
        float, typer.Option(help="Weight of the genres by classifier-free guidance; 1 is the model without it.")
    ] = SERVED.sampling.guidance,
    labels: Annotated[
        Path | None,
        typer.Option(help='Sentences labelled by hand, {"text": ..., "label": 0 or 1} per line, to test the judges.'),
    ] = None,
    ratings: Annotated[
        list[Path] | None,
        typer.Option(
            help="Blind ratings to compare the figures with: JSON lines (.jsonl), or a sheet's key (.json) and then "
            "each reader's table; repeatable."
        ),
    ] = None,
    sheet: Annotated[
        Path | None, typer.Option(help="Folder for a sheet for blind readers, with sentences of every row.")
    ] = None,
    sheet_each: Annotated[int, typer.Option(help="Sentences of each row on that sheet.")] = 60,
    budget: Annotated[
        str | None, typer.Option(help="Time limit of decoding, as in 10m; reduces the number of samples.")
    ] = None,
    json_path: Annotated[
        Path | None, typer.Option("--json", help="Also write the last line's document to this file.")
    ] = None,
    quick: Annotated[bool, typer.Option(help="Quick trial: 200 samples, one seed, few temperatures.")] = False,
    track: Annotated[bool, typer.Option(help="Log figures and report to each registered model's run.")] = False,
    workspace: Workspace = Path("workspace"),
    tracking_uri: TrackingUri = None,
) -> None:
    """Evaluate models against held-out text.

    Writes report.html and report.json. The rows are held-out real text, that of the desired kind, each baseline, and
    two of each model: what its worker serves by default, and the first candidates, which are the model itself. The
    columns and goals are explained in docs/concepts/quality.md.

        deephypebot evaluate workspace/corpus --model cvae/1 --model lcgan@champion
    """
    import tempfile
    from dataclasses import replace

    from rich.console import Console

    from foundation.result_line import finish
    from foundation.terminal import show
    from training.console import stage_bars, told_when_stopped
    from training.corpus import load_corpus
    from training.evaluation.console import goals_table, parse_named_files
    from training.evaluation.evaluate import evaluate as measure
    from training.evaluation.evaluate import track as log_report
    from training.evaluation.models import load_models, names_version
    from training.evaluation.plan import DecodePlan, EvaluatePlan
    from training.evaluation.readers.sheet import SHEET_FILE, mix, write_sheet
    from training.evaluation.readers.tables import agreement_table, sources_table
    from training.evaluation.report import write_report
    from training.options import default_tracking_uri, open_registry, seconds

    console = Console(stderr=True)
    decode = DecodePlan(
        num_samples=min(num_samples, 200) if quick else num_samples,
        seeds=1 if quick else seeds,
        best_of=best_of,
        sampling=replace(SERVED.sampling, temperature=temperature, top_p=top_p, guidance=guidance),
    )
    quickly = {"replicates": 100, "temperatures": (0.5, 0.8, 1.1), "curve_samples": 100} if quick else {}
    plan = EvaluatePlan(
        decode=decode,
        baselines=parse_named_files("--baseline", baseline or []),
        labels=labels,
        ratings=tuple(ratings or ()),
        budget_s=seconds(budget) if budget else None,
        workspace=workspace,
        **quickly,  # type: ignore[arg-type]  # three settings of three types
    )
    stopped = told_when_stopped(console, "the same command uses the samples that are decoded, kept in the workspace")
    with stopped, tempfile.TemporaryDirectory(prefix="deephypebot-evaluate-") as scratch:
        with console.status("reading the corpus and the models"):
            loaded = load_corpus(corpus)
            # A tracking server is needed only for registered models.
            uri = tracking_uri or default_tracking_uri(workspace)
            registered = any(map(names_version, model or []))
            tracker = open_registry(uri if registered else "none", workspace)
            models = load_models(model or [], tracker, Path(scratch))
        if not models:
            console.print(
                "no --model is given, as in --model lcgan@champion: real text and baselines alone are measured"
            )
        with stage_bars(console) as bars:
            result = measure(loaded, models, plan, watch=bars.watch)
        write_report(result, report)
    if sheet is not None:
        write_sheet(mix(result.sentences(), each=sheet_each, seed=1), sheet)
        console.print(f"wrote {sheet / SHEET_FILE}, for readers, and its key", soft_wrap=True)
    if track:
        runs = log_report(result, report, tracker)
        console.print(f"logged to {runs} runs")
    show(goals_table(result), console=console)
    for verdict in result.verdicts:
        console.print(verdict.words, soft_wrap=True, highlight=False, markup=False)
    if result.readers is not None:
        readers = sources_table(result.readers.sources, result.readers.kappas)
        show(readers, agreement_table(result.readers.figures), console=console)
    console.print(f"wrote {report / 'report.html'} and {report / 'report.json'}", soft_wrap=True)
    finish("evaluate", {"rows": result.document()["rows"]}, json_path)


def interpolate(
    first: Annotated[str, typer.Argument(help="Sentence to start from.")],
    last: Annotated[str, typer.Argument(help="Sentence to end at.")],
    *,
    model: Annotated[str, typer.Option(help="cvae/1, cvae@champion, or a stage's bundle folder.")],
    steps: Annotated[int, typer.Option(min=2, max=50, help="Number of points, including both ends.")] = 7,
    genres: Annotated[list[str] | None, typer.Option(help="Genres to decode with; repeatable.")] = None,
    path: Annotated[
        str, typer.Option(help="Path between the latent vectors: spherical keeps their length, linear is straight.")
    ] = "spherical",
    candidates: Annotated[
        int, typer.Option(min=1, max=64, help="Candidates per point; the one whose encoding is nearest is shown.")
    ] = 32,
    json_path: Annotated[Path | None, typer.Option("--json", help="Also write the points to this file.")] = None,
    workspace: Workspace = Path("workspace"),
    tracking_uri: TrackingUri = None,
) -> None:
    """Interpolate between two sentences.

    Decodes latent vectors on the way from one to the other. The same sentences and model give the same result.

        deephypebot interpolate "A slow, warm song." "The drums are huge and loud!" --model cvae/1
    """
    import tempfile
    from dataclasses import asdict

    from rich.console import Console
    from rich.table import Table

    from foundation.terminal import show
    from training.evaluation.interpolate import InterpolationPath
    from training.evaluation.interpolate import interpolate as decode_points
    from training.evaluation.models import load_models, names_version
    from training.files import write_json
    from training.options import default_tracking_uri, open_registry

    console = Console()
    with tempfile.TemporaryDirectory(prefix="deephypebot-interpolate-") as scratch:
        uri = tracking_uri or default_tracking_uri(workspace)
        tracker = open_registry(uri if names_version(model) else "none", workspace)
        (loaded,) = load_models([model], tracker, Path(scratch))
        points = decode_points(
            loaded,
            first,
            last,
            steps=steps,
            genres=genres or [],
            path=InterpolationPath.of(path),
            candidates=candidates,
        )
    table = Table(title=f"{loaded.name}: from z of the first sentence to z of the last", title_justify="left")
    for heading in ("at", "sentence"):
        table.add_column(heading, overflow="fold")
    table.add_row("given", first)
    for point in points:
        table.add_row(f"{point.at:.2f}", point.text)
    table.add_row("given", last)
    show(table, console=console)
    if json_path is not None:
        write_json(json_path, {"name": "interpolate", "figures": {"points": [asdict(point) for point in points]}})
