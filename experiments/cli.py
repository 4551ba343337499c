"""Commands `deephypebot experiment`: versions compared by the curators' verdicts."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from experiments.data_cli import replay, verdicts
from experiments.definition import Guardrails
from experiments.options import (
    ConfigOption,
    ExposuresOption,
    JsonOption,
    ModelOption,
    NameArgument,
    WaitOption,
    WorkspaceOption,
    open_experiments,
    open_sources,
    version_number,
    workspace_of,
)
from experiments.watch_cli import sync, watch
from foundation.defaults import DEFAULT_MODEL, GATEWAY_TARGET
from foundation.terminal import show
from serving.options import TargetOption, TimeoutOption, TrackingOption
from serving.traffic.experiment import ExperimentDesign

if TYPE_CHECKING:
    from experiments.registry import ExperimentRegistry

_LIMITS = Guardrails()

app_experiment = typer.Typer(
    name="experiment", no_args_is_help=True, help="Versions compared by the curators' verdicts, blind and side by side."
)


@app_experiment.command("start")
def start(
    name: Annotated[str, typer.Argument(metavar="NAME", help="1 to 40 lower-case letters, digits and hyphens.")],
    *,
    treatment: Annotated[
        list[str], typer.Option("--treatment", help="Version to compare with the control; once for each, at most 5.")
    ],
    control: Annotated[
        str, typer.Option("--control", help="Version to compare with.", show_default="the champion")
    ] = "champion",
    model: ModelOption = DEFAULT_MODEL,
    design: Annotated[
        ExperimentDesign,
        typer.Option("--design", help="Samples of every version for each song, or one version for each unit."),
    ] = ExperimentDesign.INTERLEAVED,
    auto: Annotated[bool, typer.Option("--auto", help="Promote the winner by itself.")] = False,
    alpha: Annotated[float, typer.Option("--alpha", help="Bound on the probability of a false decision.")] = 0.05,
    max_error_increase: Annotated[
        float, typer.Option("--max-error-increase", help="Limit of failed requests, more than the control's.")
    ] = _LIMITS.max_error_increase,
    max_slowdown: Annotated[
        float, typer.Option("--max-slowdown", help="Limit of the 95th percentile of the time, over the control's.")
    ] = _LIMITS.max_slowdown,
    max_copy_increase: Annotated[
        float, typer.Option("--max-copy-increase", help="Limit of copies of training text, more than the control's.")
    ] = _LIMITS.max_copy_increase,
    max_acceptance_loss: Annotated[
        float, typer.Option("--max-acceptance-loss", help="Limit of accepted samples, less than the control's.")
    ] = _LIMITS.max_acceptance_loss,
    guardrail_alpha: Annotated[
        float, typer.Option("--guardrail-alpha", help="Bound on the probability of a false alarm of any limit.")
    ] = _LIMITS.alpha,
    workspace: WorkspaceOption = None,
    config: ConfigOption = None,
    tracking_uri: TrackingOption = "",
    target: TargetOption = GATEWAY_TARGET,
    wait: WaitOption = True,
    timeout: TimeoutOption = 120.0,
) -> None:
    """Start to compare versions of a model by the verdicts that curators give in the normal queue.

    In the interleaved design the bot asks for samples of every version for each song, and curators see them shuffled
    and do not see whose they are. In the sticky design each unit has one version. A version beyond a limit loses its
    requests as soon as `experiment watch` sees it.

    Examples:
        deephypebot experiment start winter --treatment 2

        deephypebot experiment start spring --control 2 --treatment 4 --treatment 5 --auto
    """
    from experiments.definition import Experiment
    from experiments.definition_text import arms_of
    from experiments.sources import moment

    folder = workspace_of(config, workspace)
    registry = open_experiments(folder, tracking_uri)
    started = registry.start(
        Experiment(
            name=name,
            model=model,
            control=version_number(registry, model, control),
            treatments=tuple(version_number(registry, model, each) for each in treatment),
            design=design,
            started=moment(),
            auto=auto,
            alpha=alpha,
            guardrails=Guardrails(
                max_error_increase=max_error_increase,
                max_slowdown=max_slowdown,
                max_copy_increase=max_copy_increase,
                max_acceptance_loss=max_acceptance_loss,
                alpha=guardrail_alpha,
            ),
        )
    )
    show(f"registry: {arms_of(started)} is the experiment {name} ({design.value})")
    if wait:
        _follow(registry, model, target=target, timeout_s=timeout)
    show(
        "next: judge in the queue as ever; every song counts once all its samples are judged",
        f"next: keep `deephypebot experiment watch` running; `deephypebot experiment status {name}` says where it is",
    )


@app_experiment.command("list")
def list_experiments(
    *,
    model: Annotated[str | None, typer.Option("--model", help="Only those of a registered model.")] = None,
    workspace: WorkspaceOption = None,
    config: ConfigOption = None,
    tracking_uri: TrackingOption = "",
    as_json: JsonOption = False,
) -> None:
    """List the experiments, those that have ended included.

    Example:
        deephypebot experiment list
    """
    from experiments import tables
    from experiments.definition_text import encode_definition

    registry = open_experiments(workspace_of(config, workspace), tracking_uri)
    found = registry.list(model)
    if as_json:
        typer.echo(f"[{','.join(map(encode_definition, found))}]")
        return
    show(tables.experiments(found) if found else "there is no experiment yet: `deephypebot experiment start`")
    for fault in registry.unreadable(model):
        show(f"note: {fault}")


@app_experiment.command("status")
def status(
    name: NameArgument,
    *,
    workspace: WorkspaceOption = None,
    config: ConfigOption = None,
    exposures: ExposuresOption = None,
    tracking_uri: TrackingOption = "",
    as_json: JsonOption = False,
) -> None:
    """Show where an experiment is: its sentence, its arms and its songs. Looking changes no probability.

    Example:
        deephypebot experiment status winter
    """
    from experiments import tables

    sources = open_sources(config, workspace, exposures)
    experiment = open_experiments(sources.workspace, tracking_uri).get(name)
    with Console(stderr=True).status("reading verdicts and exposures"):
        report = sources.report(experiment)
    if as_json:
        typer.echo(json.dumps(report.to_mapping(), ensure_ascii=False))
        return
    show(report.recommendation, tables.arms(report), tables.songs(report))
    for note in report.notes:
        show(f"note: {note}")


@app_experiment.command("report")
def report(
    name: NameArgument,
    *,
    workspace: WorkspaceOption = None,
    config: ConfigOption = None,
    exposures: ExposuresOption = None,
    tracking_uri: TrackingOption = "",
    as_json: JsonOption = False,
) -> None:
    """Write the report of an experiment as a page and as JSON, and log it as a run in MLflow.

    It decides nothing and changes no requests: `experiment watch` does. A second report updates the same run.

    Example:
        deephypebot experiment report winter
    """
    from experiments.report.page import write_report
    from experiments.runs import ExperimentRuns
    from serving.settings import default_tracking_uri

    sources = open_sources(config, workspace, exposures)
    experiment = open_experiments(sources.workspace, tracking_uri).get(name)
    with Console(stderr=True).status("reading verdicts and exposures"):
        found = sources.report(experiment)
        files = write_report(found, sources.report_folder(experiment))
        run_id = ExperimentRuns(tracking_uri or default_tracking_uri(sources.workspace)).log_report(found, files)
    if as_json:
        document = {**found.to_mapping(), "files": [str(path) for path in files], "run_id": run_id}
        typer.echo(json.dumps(document, ensure_ascii=False))
        return
    show(found.recommendation, *(str(path) for path in files), f"MLflow: run {run_id}")


@app_experiment.command("stop")
def stop(
    name: NameArgument,
    *,
    promote: Annotated[
        str | None, typer.Option("--promote", metavar="VERSION", help="Make a version of it the champion.")
    ] = None,
    workspace: WorkspaceOption = None,
    config: ConfigOption = None,
    tracking_uri: TrackingOption = "",
    target: TargetOption = GATEWAY_TARGET,
    wait: WaitOption = True,
    timeout: TimeoutOption = 120.0,
) -> None:
    """End an experiment: its versions take part no more, and later songs do not count.

    Verdicts on its songs that are still to come count. Without --promote the champion stays as it is.

    Examples:
        deephypebot experiment stop winter

        deephypebot experiment stop winter --promote 2
    """
    from experiments.carrying_out import promote as promote_version

    registry = open_experiments(workspace_of(config, workspace), tracking_uri)
    experiment = registry.get(name)
    was_running = experiment.is_running
    if promote is not None:
        version = version_number(registry, experiment.model, promote)
        reason = f"{experiment.model}/{version} was promoted by hand"
        ended = promote_version(registry, experiment, version, reason)
        if was_running:
            show(f"registry: {experiment.model}/{version} is the champion")
    else:
        ended = registry.stop(name, outcome="It was stopped by hand.")
    show(f"registry: the experiment {name} {'is over' if was_running else f'was over already: {ended.outcome}'}")
    if wait:
        _follow(registry, experiment.model, target=target, timeout_s=timeout)


def _follow(registry: ExperimentRegistry, model: str, *, target: str, timeout_s: float) -> None:
    """Wait for the gateway, and tell what it does."""
    from serving.client import CommentaryClient, Credentials
    from serving.promotion import wait_for_policy

    with (
        CommentaryClient(target, credentials=Credentials.from_environment()) as client,
        Console(stderr=True).status(f"waiting for the gateway at {target}"),
    ):
        is_served = wait_for_policy(client, registry.registry, model=model, timeout_s=timeout_s)
    if is_served:
        show(f"gateway: {target} follows")
    else:
        show(f"gateway: none serves {model} at {target}; one started later will follow the registry")


for _command in (sync, watch, verdicts, replay):
    app_experiment.command()(_command)
