"""Commands `deephypebot models`: the registered versions, and which of them is the champion."""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from foundation.defaults import GATEWAY_TARGET
from foundation.model_versions import VersionName
from foundation.terminal import show
from serving import tables, traffic_cli, webhook_cli
from serving.options import (
    WORKSPACE,
    NumberArgument,
    TargetOption,
    TimeoutOption,
    TrackingOption,
    WorkspaceOption,
    asking,
    named_version,
    open_registry,
)

if TYPE_CHECKING:
    from serving.registry.client import Registry
    from serving.registry.versions import Move

ModelArgument = Annotated[str, typer.Argument(metavar="MODEL", help="A registered model: lcgan or cvae.")]
WaitOption = Annotated[
    bool, typer.Option("--wait/--no-wait", help="Wait until the running gateway answers with the new champion.")
]

app_models = typer.Typer(
    name="models", no_args_is_help=True, help="Registered versions: list, promote, roll back, split, status."
)
for _command in (traffic_cli.split, traffic_cli.ramp, traffic_cli.shadow):
    app_models.command()(_command)
app_models.add_typer(webhook_cli.app_webhook)


@app_models.command("list")
def list_models(
    *,
    workspace: WorkspaceOption = WORKSPACE,
    tracking_uri: TrackingOption = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List the registered versions: aliases, date, settings that differ from the preset's, and figures.

    With --json also archives, and the reason of each decision about a champion.
    """
    registry = open_registry(workspace, tracking_uri)
    versions = [version for model in registry.models() for version in registry.versions(model)]
    if as_json:
        typer.echo(json.dumps([dataclasses.asdict(version) for version in versions], ensure_ascii=False))
        return
    show(tables.versions(versions) if versions else "no model is registered yet: run `deephypebot train`")


@app_models.command("promote")
def promote(
    version: Annotated[
        str, typer.Argument(metavar="VERSION", help="The new champion, as in lcgan/2 or lcgan@challenger.")
    ],
    number: NumberArgument = None,
    *,
    workspace: WorkspaceOption = WORKSPACE,
    tracking_uri: TrackingOption = "",
    target: TargetOption = GATEWAY_TARGET,
    wait: WaitOption = True,
    timeout: TimeoutOption = 120.0,
) -> None:
    """Make a version the champion without losing a request.

    The champion before it stays live as `previous`, and a split of the requests ends. A champion that was promoted by
    hand stays until somebody moves it: a training does not.

    Example:
        deephypebot models promote lcgan/2
    """
    named = named_version(version, number)
    registry = open_registry(workspace, tracking_uri)
    chosen = registry.resolve(named)
    if chosen.sync_error:
        registry.set_sync_error(chosen.model, chosen.version, "")  # a running service then retries the version
    move = registry.promote(chosen.model, chosen.version)
    _report_move(registry, move, target=target, wait=wait, timeout_s=timeout)


@app_models.command("rollback")
def rollback(
    model: ModelArgument,
    *,
    workspace: WorkspaceOption = WORKSPACE,
    tracking_uri: TrackingOption = "",
    target: TargetOption = GATEWAY_TARGET,
    wait: WaitOption = True,
    timeout: TimeoutOption = 120.0,
) -> None:
    """Make the previous champion the champion again, and end a split of the requests.

    Example:
        deephypebot models rollback lcgan
    """
    registry = open_registry(workspace, tracking_uri)
    _report_move(registry, registry.rollback(model), target=target, wait=wait, timeout_s=timeout)


@app_models.command("status")
def status(
    *,
    target: TargetOption = GATEWAY_TARGET,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show the live versions of a running gateway, their lineage and settings, and the request limits.

    With --json also the genres and the complete lineage of each version.
    """
    from serving.client import CommentaryClient, Credentials

    with CommentaryClient(target, timeout_s=5, credentials=Credentials.from_environment()) as client, asking(target):
        serving, models, limits = client.is_serving(), client.describe(), client.limits()
    if as_json:
        document = {
            "serving": serving,
            "models": [dataclasses.asdict(model) for model in models],
            "limits": dataclasses.asdict(limits),
        }
        typer.echo(json.dumps(document, ensure_ascii=False))
        return
    state = f"{target} is {'SERVING' if serving else 'NOT SERVING'}"
    show(state, tables.live_models(models), *filter(None, [tables.policies(models)]), tables.limits(limits))


def _report_move(registry: Registry, move: Move, *, target: str, wait: bool, timeout_s: float) -> None:
    from serving.client import CommentaryClient, Credentials
    from serving.promotion import wait_for_champion

    def named(version: str) -> VersionName:
        return VersionName(model=move.model, version=version)

    before = f", {named(move.previous)} is previous" if move.previous else ""
    already = "" if move.changed else " already"
    show(f"registry: {named(move.champion)} is the champion{already}{before}")
    if move.unsplit:
        ended = ", ".join(str(named(version)) for version in move.unsplit)
        show(f"registry: the split is over (traffic tags of {ended} are removed); shadows stay")
    if not wait:
        return

    with (
        CommentaryClient(target, credentials=Credentials.from_environment()) as client,
        Console(stderr=True).status(f"waiting for the gateway at {target}"),
    ):
        served = wait_for_champion(client, registry, model=move.model, version=move.champion, timeout_s=timeout_s)
    if served:
        show(f"gateway: {target} answers with {named(move.champion)}")
    else:
        show(f"gateway: none serves {move.model} at {target}; one started later will answer with the champion")
