"""Commands `deephypebot models webhook`: MLflow's webhooks, which wake the poll of a running gateway."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Console

from foundation.terminal import show
from serving.options import WORKSPACE, TrackingOption, WebhookSecretOption, WorkspaceOption

NameOption = Annotated[str, typer.Option("--name", help="Name of the webhook in MLflow.")]
DEFAULT_NAME = "deephypebot"

app_webhook = typer.Typer(
    name="webhook", no_args_is_help=True, help="Webhooks of MLflow that wake a gateway's poll: add, list, remove."
)


@app_webhook.command("add")
def add(
    url: Annotated[
        str, typer.Argument(metavar="URL", help="Address of the gateway's HTTP/JSON door, as MLflow sees it.")
    ],
    *,
    name: NameOption = DEFAULT_NAME,
    secret_file: WebhookSecretOption = None,
    workspace: WorkspaceOption = WORKSPACE,
    tracking_uri: TrackingOption = "",
) -> None:
    """Let an MLflow server tell a gateway when an alias or a tag changes.

    The secret is that of `serve --webhook-secret-file`. MLflow uses a new webhook within a minute.

    Example:
        deephypebot models webhook add http://127.0.0.1:8080 --webhook-secret-file webhook.secret
    """
    from foundation.redaction import redacted
    from serving.errors import ServingError
    from serving.http.webhooks import WEBHOOK_PATH
    from serving.registry.webhooks import Webhooks, server_needs
    from serving.settings import default_tracking_uri, webhook_secret

    secret = webhook_secret(secret_file)
    if not secret:
        raise ServingError("name the file of the secret with --webhook-secret-file, or set DEEPHYPEBOT_WEBHOOK_SECRET")
    address = url.rstrip("/")
    address = address if address.endswith(WEBHOOK_PATH) else address + WEBHOOK_PATH
    webhooks = Webhooks(tracking_uri or default_tracking_uri(workspace))
    with Console(stderr=True).status("asking MLflow"):
        problem = webhooks.add(name, address, secret=secret)
    show(f"webhook {name} is registered: MLflow posts to {redacted(address)}")
    show(f"the MLflow server must keep running with {', '.join(server_needs(address))}")
    if problem:
        show(f"a trial of it failed ({problem}): does `serve --http-port` run there, with the same secret?")
    else:
        show("a trial of it reached the gateway")


@app_webhook.command("list")
def list_webhooks(*, workspace: WorkspaceOption = WORKSPACE, tracking_uri: TrackingOption = "") -> None:
    """List the webhooks of an MLflow server."""
    from foundation.redaction import redacted
    from serving.registry.webhooks import Webhooks
    from serving.settings import default_tracking_uri

    found = Webhooks(tracking_uri or default_tracking_uri(workspace)).all()
    for webhook in found:
        show(f"{webhook.name}  {webhook.status}  {redacted(webhook.url)}  {', '.join(webhook.events)}")
    if not found:
        show("there is no webhook: the poll alone notices changes")


@app_webhook.command("remove")
def remove(
    *, name: NameOption = DEFAULT_NAME, workspace: WorkspaceOption = WORKSPACE, tracking_uri: TrackingOption = ""
) -> None:
    """Remove a webhook from an MLflow server."""
    from serving.registry.webhooks import Webhooks
    from serving.settings import default_tracking_uri

    Webhooks(tracking_uri or default_tracking_uri(workspace)).remove(name)
    show(f"webhook {name} is removed; the poll goes on")
