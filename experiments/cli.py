"""Commands `deephypebot experiment`: versions compared by the curators' verdicts."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from experiments.definition import Design, Guardrails
from foundation.defaults import DEFAULT_MODEL, GATEWAY_TARGET
from foundation.terminal import show
from serving.options import TargetOption, TimeoutOption, TrackingOption, open_registry

if TYPE_CHECKING:
    from experiments.registry import ExperimentRegistry
    from experiments.sources import Sources

_LIMITS = Guardrails()

NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="The experiment.")]
WorkspaceOption = Annotated[
    Path | None,
    typer.Option(
        "--workspace",
        envvar="DEEPHYPEBOT_WORKSPACE",
        help="Folder of the bot's database and of the reports.",
        show_default="that of the bot's settings, or workspace",
    ),
]
ConfigOption = Annotated[
    Path | None, typer.Option("--config", help="The bot's settings file, TOML.", show_default="deephypebot.toml")
]
ExposuresOption = Annotated[
    list[Path] | None,
    typer.Option(
        "--exposures",
        envvar="DEEPHYPEBOT_EXPOSURES",
        help="Folder of exposures; once for each, of several hosts for instance.",
        show_default="WORKSPACE/exposures",
    ),
]
WaitOption = Annotated[bool, typer.Option("--wait/--no-wait", help="Wait until the running gateway follows.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]
ModelOption = Annotated[str, typer.Option("--model", help="A registered model: lcgan or cvae.")]

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
        Design,
        typer.Option("--design", help="Samples of every version for each song, or one version for each unit."),
    ] = Design.INTERLEAVED,
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

    folder = _workspace(config, workspace)
    registry = _experiments(folder, tracking_uri)
    started = registry.start(
        Experiment(
            name=name,
            model=model,
            control=_version(registry, model, control),
            treatments=tuple(_version(registry, model, each) for each in treatment),
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

    registry = _experiments(_workspace(config, workspace), tracking_uri)
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

    sources = _sources(config, workspace, exposures)
    experiment = _experiments(sources.workspace, tracking_uri).get(name)
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

    sources = _sources(config, workspace, exposures)
    experiment = _experiments(sources.workspace, tracking_uri).get(name)
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

    registry = _experiments(_workspace(config, workspace), tracking_uri)
    experiment = registry.get(name)
    was_running = experiment.is_running
    if promote is not None:
        version = _version(registry, experiment.model, promote)
        reason = f"{experiment.model}/{version} was promoted by hand"
        ended = promote_version(registry, experiment, version, reason)
        show(f"registry: {experiment.model}/{version} is the champion")
    else:
        ended = registry.stop(name, outcome="It was stopped by hand.")
    show(f"registry: the experiment {name} {'is over' if was_running else f'was over already: {ended.outcome}'}")
    if wait:
        _follow(registry, experiment.model, target=target, timeout_s=timeout)


@app_experiment.command("sync")
def sync(*, workspace: WorkspaceOption = None, config: ConfigOption = None, tracking_uri: TrackingOption = "") -> None:
    """Send the verdicts of all songs to MLflow once, with experiments or without.

    What is there already is not sent again. While MLflow is away, the verdicts wait, and the exit code is 1. A running
    `experiment watch` does this by itself.

    Example:
        deephypebot experiment sync
    """
    from experiments.watching import only_watcher, sync_verdicts
    from serving.settings import default_tracking_uri

    sources = _sources(config, workspace, None)
    uri = tracking_uri or default_tracking_uri(sources.workspace)
    waiting = Console(stderr=True).status("sending verdicts")
    with sources.open_store() as store, only_watcher(sources.folder), waiting:
        result = sync_verdicts(sources, uri, store)
    show(*(result.sentences or ("every verdict is in MLflow already",)))
    if result.away is not None:
        raise typer.Exit(1)


@app_experiment.command("watch")
def watch(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME]...", help="Experiments to watch.", show_default="all")
    ] = None,
    *,
    every: Annotated[float, typer.Option("--every", min=1, help="Seconds between two passes.")] = 30.0,
    once: Annotated[bool, typer.Option("--once", help="Make one pass; exit code 1 if anything failed.")] = False,
    verdicts: Annotated[
        bool, typer.Option("--verdicts/--no-verdicts", help="Send the curators' verdicts to MLflow as well.")
    ] = True,
    workspace: WorkspaceOption = None,
    config: ConfigOption = None,
    exposures: ExposuresOption = None,
    tracking_uri: TrackingOption = "",
) -> None:
    """Watch over experiments until it is stopped: report, take off what does harm, promote or recommend the winner.

    The verdicts of all songs go to MLflow, whether an experiment runs or not. One process for a workspace is enough;
    it waits where the registry or a database is away.

    Examples:
        deephypebot experiment watch

        deephypebot experiment watch winter --once
    """
    from bot.entrypoints.foreground import stop_signals
    from experiments.watching import Watcher, only_watcher
    from serving.settings import default_tracking_uri

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    for talkative in ("alembic", "mlflow", "urllib3"):
        logging.getLogger(talkative).setLevel(logging.WARNING)
    sources = _sources(config, workspace, exposures)
    watcher = Watcher(
        sources=sources,
        tracking_uri=tracking_uri or default_tracking_uri(sources.workspace),
        names=tuple(names or ()),
        syncs_verdicts=verdicts,
    )
    with only_watcher(sources.folder), stop_signals() as stopped:
        while True:
            is_well = watcher.run_once()
            if once and not is_well:
                raise typer.Exit(1)
            if once or stopped.wait(every):
                return


@app_experiment.command("verdicts")
def verdicts(
    *,
    out: Annotated[Path, typer.Option("--out", help="File to write, JSON lines.")],
    model: Annotated[str, typer.Option("--model", help="Only samples of a registered model.", show_default="all")] = "",
    workspace: WorkspaceOption = None,
    config: ConfigOption = None,
    exposures: ExposuresOption = None,
) -> None:
    """Write all judged samples with their settings and verdicts, for `deephypebot train --verdicts`.

    Example:
        deephypebot experiment verdicts --out verdicts.jsonl
    """
    from experiments.verdict_file import write_verdicts

    sources = _sources(config, workspace, exposures)
    with Console(stderr=True).status(f"writing {out}"), sources.open_store() as store:
        written = write_verdicts(out, store, sources.exposure_files() or (), model=model)
    show(
        f"{out}: {written.total} verdicts, {written.accepted} accepted ({written.edited} of them edited), "
        f"{written.rejected} rejected"
    )
    if written.without_exposure:
        show(
            f"note: the exposures of {written.without_exposure} samples were not found; their settings are the "
            "defaults, by which the bot asks"
        )


@app_experiment.command("replay")
def replay(
    name: NameArgument,
    *,
    versions: Annotated[
        list[str],
        typer.Option(
            "--model", metavar="VERSION", help="A version to replay, as in lcgan/5; once for each.", show_default="all"
        ),
    ] = [],  # noqa: B006 - typer copies it
    value: Annotated[
        str, typer.Option("--value", metavar="VERSION", help="Version that learned from verdicts; its values rank.")
    ] = "",
    model_store: Annotated[
        Path, typer.Option("--model-store", envvar="DEEPHYPEBOT_MODEL_STORE", help="Folder of archives.")
    ] = Path("model_store"),
    workspace: WorkspaceOption = None,
    config: ConfigOption = None,
    exposures: ExposuresOption = None,
    tracking_uri: TrackingOption = "",
    as_json: JsonOption = False,
) -> None:
    """Compute what versions would have written for the requests of an experiment.

    What a version served itself is compared with what it writes now, bit by bit. Without --model the versions of the
    experiment are replayed. It needs the packages of `train` as well.

    Examples:
        deephypebot experiment replay winter

        deephypebot experiment replay winter --model lcgan/5 --model lcgan/6 --value lcgan/6
    """
    from experiments.errors import ExperimentError

    try:
        from experiments.replaying import compare_versions, exposures_of, served_texts, value_function
    except ModuleNotFoundError as cause:
        raise ExperimentError(
            f"a replay needs {cause.name}, which is not installed: pip install 'deephypebot[train,experiments]'"
        ) from cause
    from experiments.tables import replayed
    from serving.settings import default_tracking_uri

    sources, registry = (
        _sources(config, workspace, exposures),
        _experiments(_workspace(config, workspace), tracking_uri),
    )
    experiment = registry.get(name)
    numbers = [_version(registry, experiment.model, each) for each in versions] or list(experiment.versions)
    values = None
    if value:
        number = _version(registry, experiment.model, value)
        address = tracking_uri or default_tracking_uri(sources.workspace)
        values = value_function(experiment.model, number, tracking_uri=address, workspace=sources.workspace)
    with Console(stderr=True).status("reading exposures") as status, sources.open_store() as store:
        asked = exposures_of(experiment, list(sources.exposure_files(experiment) or ()))

        def progress(version: str, done: int) -> None:
            status.update(f"{experiment.model}/{version}: {done} of {len(asked)} exposures")

        found = compare_versions(
            experiment,
            numbers,
            asked,
            registry.registry,
            model_store=model_store,
            texts=served_texts(store),
            values=values,
            progress=progress,
        )
    if as_json:
        typer.echo(json.dumps(found.to_mapping(), ensure_ascii=False))
        return
    show(*replayed(found))


def _workspace(config: Path | None, workspace: Path | None) -> Path:
    """Folder of the bot's database: of the option, the environment, or the bot's settings."""
    from bot.settings import load

    return load(config, workspace=workspace).workspace


def _sources(config: Path | None, workspace: Path | None, exposures: list[Path] | None) -> Sources:
    from experiments.sources import Sources

    return Sources(workspace=_workspace(config, workspace), exposures=tuple(exposures or ()))


def _experiments(workspace: Path, tracking_uri: str) -> ExperimentRegistry:
    from experiments.registry import ExperimentRegistry

    return ExperimentRegistry(open_registry(workspace, tracking_uri))


def _version(registry: ExperimentRegistry, model: str, text: str) -> str:
    """Number of a version that is named by its number, by an alias, or as in lcgan/2."""
    from experiments.errors import ExperimentError
    from foundation.model_versions import VersionName

    if text.isdigit():
        return registry.registry.version(model, text).version
    if "/" not in text and "@" not in text:
        text = f"{model}@{text}"
    if (named := VersionName.parse(text)).model != model:
        raise ExperimentError(f"{text} is a version of {named.model}, and the experiment compares those of {model}")
    return registry.registry.resolve(named).version


def _follow(registry: ExperimentRegistry, model: str, *, target: str, timeout_s: float) -> None:
    """Wait for the gateway, and tell what it does."""
    from experiments.following import wait_until_followed

    with Console(stderr=True).status(f"waiting for the gateway at {target}"):
        is_served = wait_until_followed(registry.registry, model, target=target, timeout_s=timeout_s)
    if is_served:
        show(f"gateway: {target} follows")
    else:
        show(f"gateway: none serves {model} at {target}; one started later will follow the registry")
