"""Commands `deephypebot experiment verdicts` and `replay`: what an experiment leaves for a training."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from experiments.options import (
    ConfigOption,
    ExposuresOption,
    JsonOption,
    NameArgument,
    WorkspaceOption,
    open_experiments,
    open_sources,
    version_number,
    workspace_of,
)
from foundation.terminal import show
from serving.options import TrackingOption


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

    sources = open_sources(config, workspace, exposures)
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
        open_sources(config, workspace, exposures),
        open_experiments(workspace_of(config, workspace), tracking_uri),
    )
    experiment = registry.get(name)
    numbers = [version_number(registry, experiment.model, each) for each in versions] or list(experiment.versions)
    values = None
    if value:
        number = version_number(registry, experiment.model, value)
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
