"""Options that several commands share, and how they open a registry and ask a gateway."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer
from rich.console import Console

from foundation.commands import serve_command
from foundation.model_versions import CHAMPION_ALIAS, VersionName
from serving.workers.kinds import WorkerHostKind

if TYPE_CHECKING:
    from serving.client import CommentaryClient
    from serving.registry.client import Registry

WorkspaceOption = Annotated[
    Path, typer.Option("--workspace", envvar="DEEPHYPEBOT_WORKSPACE", help="Folder of the registry and the logs.")
]
ModelStoreOption = Annotated[
    Path, typer.Option("--model-store", envvar="DEEPHYPEBOT_MODEL_STORE", help="Folder of the archives (.mar).")
]
TrackingOption = Annotated[
    str,
    typer.Option(
        "--tracking-uri",
        envvar="MLFLOW_TRACKING_URI",
        help="Address of the MLflow server or database.",
        show_default="WORKSPACE/mlflow.db",
    ),
]
TargetOption = Annotated[
    str, typer.Option("--target", envvar="DEEPHYPEBOT_TARGET", help="Address of the gateway, host:port.")
]
NumberArgument = Annotated[
    str | None, typer.Argument(metavar="[NUMBER]", help="Number of the version, where only its model is named.")
]
TimeoutOption = Annotated[float, typer.Option("--timeout", min=0.1, help="Maximum time to wait, in seconds.")]
WorkerHostOption = Annotated[
    WorkerHostKind,
    typer.Option(
        "--worker-host",
        envvar="DEEPHYPEBOT_WORKER_HOST",
        help="What runs the workers: TorchServe, or a pool of the service's own processes, which needs no Java.",
    ),
]
ExposuresOption = Annotated[
    Path | None,
    typer.Option(
        "--exposures",
        envvar="DEEPHYPEBOT_EXPOSURES",
        help="Folder of the exposures, a row for each answer.",
        show_default="WORKSPACE/exposures",
    ),
]
NoExposuresOption = Annotated[bool, typer.Option("--no-exposures", help="Keep no exposures.")]
AccessLogOption = Annotated[
    str | None,
    typer.Option(
        "--access-log",
        metavar="PATH",
        envvar="DEEPHYPEBOT_ACCESS_LOG",
        help="File for a line of JSON for each call; - for standard output. Without it there is none.",
    ),
]
ExposureDaysOption = Annotated[
    float, typer.Option("--exposure-days", min=0.01, help="Age at which exposures are removed.")
]
ExposureMbOption = Annotated[
    int, typer.Option("--exposure-mb", min=16, help="Size in MiB above which the oldest exposures are removed.")
]
HttpPortOption = Annotated[
    int | None,
    typer.Option(
        "--http-port",
        envvar="DEEPHYPEBOT_HTTP_PORT",
        min=0,
        max=65535,
        help="Port of the HTTP/JSON door, on the gateway's host; 0 takes any free one. Without it there is no door.",
    ),
]
InsecureListenOption = Annotated[
    bool,
    typer.Option(
        "--insecure-listen",
        envvar="DEEPHYPEBOT_INSECURE_LISTEN",
        help="Let --host be an address that other machines can reach, though nothing here keeps strangers out.",
    ),
]
TlsCertOption = Annotated[
    Path | None,
    typer.Option("--tls-cert", envvar="DEEPHYPEBOT_TLS_CERT", help="PEM file of the gateway's certificate."),
]
TlsKeyOption = Annotated[
    Path | None, typer.Option("--tls-key", envvar="DEEPHYPEBOT_TLS_KEY", help="PEM file of its private key.")
]
TlsClientCaOption = Annotated[
    Path | None,
    typer.Option(
        "--tls-client-ca",
        envvar="DEEPHYPEBOT_TLS_CLIENT_CA",
        help="PEM file of authorities; clients need a certificate of one.",
    ),
]
_CLIENTS_FILE: Final[Any] = typer.Option(
    "--clients-file",
    envvar="DEEPHYPEBOT_CLIENTS_FILE",
    help="JSON file of the clients that may ask, with the hashes of their tokens.",
)
ClientsFileOption = Annotated[Path, _CLIENTS_FILE]
OptionalClientsFileOption = Annotated[Path | None, _CLIENTS_FILE]
CallsPerClientOption = Annotated[
    int,
    typer.Option(
        "--max-calls-per-client",
        min=0,
        help="Calls that a client (an address, without --clients-file) may have open at once; 0 for no limit.",
    ),
]
ConnectionsPerClientOption = Annotated[
    int,
    typer.Option(
        "--max-connections-per-client",
        min=0,
        help="Connections on which a client may have open calls at once; 0 for no limit.",
    ),
]
CaOption = Annotated[
    Path | None,
    typer.Option(
        "--ca", envvar="DEEPHYPEBOT_CA", help="PEM file of the authorities that vouch for the gateway; speaks TLS."
    ),
]
ClientCertOption = Annotated[
    Path | None,
    typer.Option("--client-cert", envvar="DEEPHYPEBOT_CLIENT_CERT", help="PEM file of a certificate to show."),
]
ClientKeyOption = Annotated[
    Path | None, typer.Option("--client-key", envvar="DEEPHYPEBOT_CLIENT_KEY", help="PEM file of its private key.")
]
TokenFileOption = Annotated[
    Path | None,
    typer.Option(
        "--token-file",
        envvar="DEEPHYPEBOT_TOKEN_FILE",
        help="File of the token to show; DEEPHYPEBOT_TOKEN may hold the token itself.",
    ),
]
WebhookSecretOption = Annotated[
    Path | None,
    typer.Option(
        "--webhook-secret-file",
        envvar="DEEPHYPEBOT_WEBHOOK_SECRET_FILE",
        help="File with the secret by which MLflow signs webhooks; or set DEEPHYPEBOT_WEBHOOK_SECRET to the secret.",
    ),
]
TrustedKeysOption = Annotated[
    Path | None,
    typer.Option(
        "--trusted-keys",
        envvar="DEEPHYPEBOT_TRUSTED_KEYS",
        help="PEM file of public keys: only archives that one of them signed are taken. Without it, unsigned ones too.",
    ),
]
SigningKeyOption = Annotated[
    Path,
    typer.Option(
        "--signing-key",
        envvar="DEEPHYPEBOT_SIGNING_KEY",
        help="PEM file of the private key that signs, from `deephypebot keys new`.",
    ),
]
MaxDeadlineOption = Annotated[
    float,
    typer.Option(
        "--max-deadline",
        min=0.1,
        help="Longest time for an answer, in seconds; requests that ask for more or name none get this.",
    ),
]
DrainOption = Annotated[
    float | None,
    typer.Option(
        "--drain",
        min=0,
        help="Seconds for which a stop waits for the requests in flight; without it, those of --max-deadline.",
    ),
]

WORKSPACE: Final = Path("workspace")
MODEL_STORE: Final = Path("model_store")

_NOBODY: Final = "failed to connect to all addresses"
"""Words by which gRPC says that nothing listens; other faults of a connection have other ways out."""


def exposures_folder(workspace: Path) -> Path:
    """Return the folder of a workspace in which `serve` keeps exposures."""
    return workspace / "exposures"


def open_registry(workspace: Path, tracking_uri: str) -> Registry:
    """Open the registry that the options name.

    Raises:
        RegistryError: there is none.
    """
    from serving.registry.client import Registry  # noqa: PLC0415 - help must not wait for it
    from serving.settings import default_tracking_uri  # noqa: PLC0415 - help must not wait for it

    with Console(stderr=True).status("opening the registry"):
        return Registry(tracking_uri or default_tracking_uri(workspace))


def named_version(text: str, number: str | None) -> VersionName:
    """Read the argument VERSION, with or without its NUMBER; a model alone is not enough.

    Raises:
        VersionNameError: the texts name no version, or two different ones.
        typer.BadParameter: the version of the model is missing.
    """
    named = VersionName.of(text, number)
    if named.model == text and number is None:
        raise typer.BadParameter(f"name the version of {named.model}, as in {named.model}/2", param_hint="VERSION")
    return named


@contextmanager
def asking(target: str) -> Iterator[None]:
    """Ask a gateway within the block; where nothing listens, the error says how to start one.

    Raises:
        CommentaryError: see `serving.client`.
    """
    from serving.client import UnavailableError  # noqa: PLC0415 - help must not wait for grpc

    try:
        yield
    except UnavailableError as fault:
        if _NOBODY not in fault.message:
            raise
        message = f"no gateway answers at {target}; start one: {serve_command(target)} (or name another with --target)"
        raise UnavailableError(fault.code, message) from fault


def live_version(client: CommentaryClient, named: VersionName, *, is_model_alone: bool) -> str | None:
    """Return the number by which a request pins a version; None where a model is named alone: its shares decide.

    Raises:
        CommentaryError: the gateway cannot be asked, or no live version has the alias.
    """
    from serving.client import UnknownModelError  # noqa: PLC0415 - help must not wait for grpc

    if named.version or is_model_alone:
        return named.version or None
    (model,) = client.describe(named.model)
    if named.alias == CHAMPION_ALIAS and model.champion:
        return model.champion
    for version in model.versions:
        if named.alias in version.aliases:
            return version.version
    live = ", ".join(f"{each.version} ({', '.join(each.aliases) or 'no alias'})" for each in model.versions) or "none"
    raise UnknownModelError("NOT_FOUND", f"{named.model} has no live version {named.alias!r}; live: {live}")
