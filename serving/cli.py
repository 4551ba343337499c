"""Commands of a serving host: serve, archive; those of `models` are in `models_cli.py`."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.console import Console
from rich.logging import RichHandler

from foundation.defaults import GATEWAY_PORT, LOOPBACK
from foundation.model_versions import VersionName
from foundation.redaction import RedactingFormatter
from serving.options import (
    MODEL_STORE,
    WORKSPACE,
    AccessLogOption,
    CallsPerClientOption,
    ConnectionsPerClientOption,
    DrainOption,
    ExposureDaysOption,
    ExposureMbOption,
    ExposuresOption,
    HttpPortOption,
    InsecureListenOption,
    MaxDeadlineOption,
    ModelStoreOption,
    NoExposuresOption,
    OptionalClientsFileOption,
    TlsCertOption,
    TlsClientCaOption,
    TlsKeyOption,
    TrackingOption,
    TrustedKeysOption,
    WebhookSecretOption,
    WorkerHostOption,
    WorkspaceOption,
    exposures_folder,
    open_registry,
)
from serving.workers.kinds import WorkerHostKind

# While a tracking server is away, urllib3 has a line for each try; sync has one for all of them.
_LEAST_LEVELS: Final = {"mlflow": logging.WARNING, "alembic": logging.WARNING, "urllib3": logging.ERROR}


def serve(
    *,
    workspace: WorkspaceOption = WORKSPACE,
    model_store: ModelStoreOption = MODEL_STORE,
    tracking_uri: TrackingOption = "",
    trusted_keys: TrustedKeysOption = None,
    host: Annotated[
        str, typer.Option("--host", envvar="DEEPHYPEBOT_GATEWAY_HOST", help="Address that the gateway listens on.")
    ] = LOOPBACK,
    port: Annotated[
        int,
        typer.Option(
            "--port",
            envvar="DEEPHYPEBOT_GATEWAY_PORT",
            min=0,
            max=65535,
            help="Port that the gateway listens on; 0 takes any free one.",
        ),
    ] = GATEWAY_PORT,
    insecure_listen: InsecureListenOption = False,
    tls_cert: TlsCertOption = None,
    tls_key: TlsKeyOption = None,
    tls_client_ca: TlsClientCaOption = None,
    clients_file: OptionalClientsFileOption = None,
    max_calls_per_client: CallsPerClientOption = 0,
    max_connections_per_client: ConnectionsPerClientOption = 0,
    worker_host: WorkerHostOption = WorkerHostKind.TORCHSERVE,
    metrics_port: Annotated[
        int,
        typer.Option(
            "--metrics-port",
            envvar="DEEPHYPEBOT_TORCHSERVE_METRICS_PORT",
            min=0,
            max=65535,
            help=f"Port of the workers' Prometheus page, on {LOOPBACK}; 0 takes any free one.",
        ),
    ] = 0,
    gateway_metrics_port: Annotated[
        int,
        typer.Option(
            "--gateway-metrics-port",
            envvar="DEEPHYPEBOT_GATEWAY_METRICS_PORT",
            min=0,
            max=65535,
            help="Port of the gateway's Prometheus page; 0 takes any free one.",
        ),
    ] = 0,
    gateway_metrics_host: Annotated[
        str,
        typer.Option(
            "--gateway-metrics-host",
            envvar="DEEPHYPEBOT_GATEWAY_METRICS_HOST",
            help="Address of that page. It names no secret, but everybody who reaches it can read it.",
        ),
    ] = LOOPBACK,
    http_port: HttpPortOption = None,
    webhook_secret_file: WebhookSecretOption = None,
    models: Annotated[
        str,
        typer.Option(
            "--models",
            envvar="DEEPHYPEBOT_MODELS",
            help="Models to serve, separated by commas; the first is the default.",
        ),
    ] = "lcgan,cvae",
    workers: Annotated[
        int,
        typer.Option("--workers", min=0, help="Workers of each live version; 0 for one per core, up to 4."),
    ] = 0,
    max_in_flight: Annotated[
        int, typer.Option("--max-in-flight", min=1, help="Concurrency limit; requests above it are refused.")
    ] = 256,
    exposures: ExposuresOption = None,
    no_exposures: NoExposuresOption = False,
    exposure_days: ExposureDaysOption = 30,
    exposure_mb: ExposureMbOption = 1024,
    access_log: AccessLogOption = None,
    max_deadline: MaxDeadlineOption = 30.0,
    drain: DrainOption = None,
    poll: Annotated[float, typer.Option("--poll", min=0.1, help="Seconds between two readings of the registry.")] = 1.0,
    grace: Annotated[
        float, typer.Option("--grace", min=0, help="Seconds for which a version that lost its alias stays live.")
    ] = 15.0,
    ready_file: Annotated[
        Path | None,
        typer.Option(
            "--ready-file",
            help="File to write as JSON (target, pid, champions, metrics pages) when every model is live.",
        ),
    ] = None,
    stop_with_parent: Annotated[
        bool, typer.Option("--stop-with-parent", help="Also stop when the parent process ends.")
    ] = False,
) -> None:
    """Serve the registry's champions through a gRPC gateway.

    The command starts the workers and follows the registry, in the foreground. SIGTERM and Ctrl-C drain: requests in
    flight are answered, then everything stops. A second one stops at once.

    Examples:
        deephypebot serve

        deephypebot serve --port 0 --ready-file run/ready.json --models lcgan

        deephypebot serve --worker-host pool
    """
    import asyncio

    from foundation.private_files import keep_others_out
    from serving.security.settings import ClientLimits, SecuritySettings
    from serving.service import serve as run_service
    from serving.settings import service_settings, webhook_secret
    from serving.workers.cores import default_workers

    _configure_logging()
    keep_others_out()
    names = tuple(name.strip() for name in models.split(",") if name.strip())
    if not names:
        raise typer.BadParameter("name at least one model", param_hint="--models")
    if webhook_secret_file is not None and http_port is None:
        raise typer.BadParameter("webhooks come in by the HTTP/JSON door: add --http-port", param_hint="--http-port")
    settings = service_settings(
        workspace=workspace,
        model_store=model_store,
        tracking_uri=tracking_uri,
        trusted_keys=trusted_keys,
        host=host,
        port=port,
        security=SecuritySettings(
            insecure_listen=insecure_listen,
            tls_cert=tls_cert,
            tls_key=tls_key,
            tls_client_ca=tls_client_ca,
            clients_file=clients_file,
            limits=ClientLimits(max_calls=max_calls_per_client, max_connections=max_connections_per_client),
        ),
        worker_host=worker_host,
        metrics_port=metrics_port,
        gateway_metrics_port=gateway_metrics_port,
        gateway_metrics_host=gateway_metrics_host,
        http_port=http_port,
        webhook_secret=webhook_secret(webhook_secret_file),
        models=names,
        workers=workers or default_workers(),
        max_in_flight=max_in_flight,
        exposures=None if no_exposures else exposures or exposures_folder(workspace),
        exposure_days=exposure_days,
        exposure_mb=exposure_mb,
        max_deadline_s=max_deadline,
        drain_s=drain,
        poll_s=poll,
        grace_s=grace,
        access_log=access_log,
        ready_file=ready_file,
    )
    asyncio.run(run_service(settings, stop_with_parent=stop_with_parent))


def archive(
    version: Annotated[
        str, typer.Argument(metavar="VERSION", help="lcgan/2, lcgan@champion, or lcgan alone for its champion.")
    ],
    number: Annotated[
        str | None, typer.Argument(metavar="[NUMBER]", help="Number of the version, where only its model is named.")
    ] = None,
    *,
    out: Annotated[
        Path, typer.Option("--out", envvar="DEEPHYPEBOT_MODEL_STORE", help="Folder of the archives.")
    ] = MODEL_STORE,
    workspace: WorkspaceOption = WORKSPACE,
    tracking_uri: TrackingOption = "",
    trusted_keys: TrustedKeysOption = None,
) -> None:
    """Fetch the archive of one registered version.

    The archive is checked against the hash in the registry, and with --trusted-keys against its signature, which is
    written beside it (.sig) where there is one.

    Examples:
        deephypebot archive lcgan@champion

        deephypebot archive cvae/1 --out /srv/model_store
    """
    from functools import partial

    from handlers.contract import archive_name
    from serving.registry.archives import bring_archive, keep_signature
    from serving.registry.trust import Trust

    trust = Trust(trusted_keys)
    registry = open_registry(workspace, tracking_uri)
    chosen = registry.resolve(VersionName.of(version, number))
    signer = trust.check(chosen)
    with Console(stderr=True).status(f"fetching {chosen.name}"):
        info = bring_archive(
            out,
            model=chosen.model,
            version=chosen.version,
            sha256=chosen.archive_sha256,
            fetch=partial(registry.fetch_archive, chosen),
        )
    path = out / archive_name(info.model, info.version)
    keep_signature(path, chosen.archive_signature)
    typer.echo(f"{path}  sha256 {info.sha256}{f'  signed by {signer}' if signer else ''}")


def _configure_logging() -> None:
    console = Console(stderr=True)
    if console.is_terminal:
        handler: logging.Handler = RichHandler(console=console, show_path=False, markup=False)
        handler.setFormatter(RedactingFormatter("%(message)s", datefmt="%X"))
    else:
        handler = logging.StreamHandler()
        handler.setFormatter(RedactingFormatter("%(asctime)s %(levelname)s %(message)s"))
    # By a filter of the handler and not by the libraries' loggers, which this process may share with other commands.
    handler.addFilter(_is_for_operators)
    logging.basicConfig(level=logging.INFO, handlers=[handler])


def _is_for_operators(record: logging.LogRecord) -> bool:
    return record.levelno >= _LEAST_LEVELS.get(record.name.partition(".")[0], logging.NOTSET)
