"""Commands `deephypebot experiment watch` and `sync`: what goes on by itself."""

from __future__ import annotations

import logging
from typing import Annotated

import typer
from rich.console import Console

from experiments.options import ConfigOption, ExposuresOption, WorkspaceOption, open_sources
from foundation.terminal import show
from serving.options import TrackingOption


def sync(*, workspace: WorkspaceOption = None, config: ConfigOption = None, tracking_uri: TrackingOption = "") -> None:
    """Send the verdicts of all songs to MLflow once, with experiments or without.

    What is there already is not sent again. While MLflow is away, the verdicts wait, and the exit code is 1. A running
    `experiment watch` does this by itself.

    Example:
        deephypebot experiment sync
    """
    from experiments.watching import only_watcher, sync_verdicts
    from serving.settings import default_tracking_uri

    sources = open_sources(config, workspace, None)
    uri = tracking_uri or default_tracking_uri(sources.workspace)
    waiting = Console(stderr=True).status("sending verdicts")
    with sources.open_store() as store, only_watcher(sources.folder), waiting:
        result = sync_verdicts(sources, uri, store)
    show(*(result.sentences or ("every verdict is in MLflow already",)))
    if result.away is not None:
        raise typer.Exit(1)


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
    from foundation.redaction import RedactingFormatter
    from serving.settings import default_tracking_uri

    handler = logging.StreamHandler()
    handler.setFormatter(RedactingFormatter("%(asctime)s %(levelname)s %(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    for talkative in ("alembic", "mlflow", "urllib3"):
        logging.getLogger(talkative).setLevel(logging.WARNING)
    sources = open_sources(config, workspace, exposures)
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
