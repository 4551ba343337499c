"""Settings of the service."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from foundation.defaults import GATEWAY_PORT, LOOPBACK
from serving.errors import ServingError
from serving.gateway.settings import GatewaySettings
from serving.http.settings import HttpSettings
from serving.pool.settings import PoolSettings
from serving.security.settings import SecuritySettings
from serving.sync.loop import SyncSettings
from serving.torchserve.process import TorchServeSettings
from serving.traffic.segments import ExposureSettings
from serving.traffic.shadow import ShadowSettings
from serving.workers.kinds import WorkerHostKind

WEBHOOK_SECRET_VARIABLE: Final = "DEEPHYPEBOT_WEBHOOK_SECRET"  # noqa: S105 - the name of a variable
_LEAST_SECRET: Final = 16
_DRAIN_TIMEOUT_S: Final = 60.0
"""Least time for the last requests of a removed version."""
_DRAIN_MARGIN_S: Final = 10.0
"""Time between the longest deadline and the end of the wait for those requests."""


_HOSTS: Final = {WorkerHostKind.TORCHSERVE: TorchServeSettings, WorkerHostKind.POOL: PoolSettings}


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceSettings:
    """Settings of the service: worker host, sync and gateway.

    Raises:
        ValueError: no model is named.
    """

    tracking_uri: str
    models: tuple[str, ...]
    """Registered models to serve; the first answers requests that name no model."""
    host: TorchServeSettings | PoolSettings
    """Settings of what runs the workers."""
    sync: SyncSettings
    gateway: GatewaySettings
    exposures: ExposureSettings | None = None
    """Folder and retention of exposures; None keeps none."""
    shadow: ShadowSettings = field(default_factory=ShadowSettings)
    http: HttpSettings | None = None
    """Address and limits of the HTTP/JSON door; None opens none."""
    learned_references: Path | None = None
    """Folder of the references that versions without one learn from their first answers; None keeps none."""
    gateway_metrics_port: int = 0
    """Port of the gateway's Prometheus page; 0 takes any free one."""
    gateway_metrics_host: str = LOOPBACK
    """Address of that page. It names no secret, but everybody who reaches it can read it."""
    access_log: str | None = None
    """File that gets a line of JSON for each call, or `-` for standard output; None keeps no log."""
    ready_file: Path | None = None
    """File that is written as JSON when every model has a live champion, and again when an address or a champion
    changes. It is removed when the service stops; that of a killed service, when the next one starts."""

    def __post_init__(self) -> None:
        if not self.models or not all(self.models):
            raise ValueError(f"at least one model must be named, got {self.models}")


def default_tracking_uri(workspace: Path) -> str:
    """Return MLFLOW_TRACKING_URI if it is set, else the database in the workspace."""
    return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{(workspace / 'mlflow.db').resolve()}"


def webhook_secret(file: Path | None) -> str:
    """Return the secret of MLflow's webhooks, from a file or else from DEEPHYPEBOT_WEBHOOK_SECRET; empty without both.

    Raises:
        ServingError: the file cannot be read, or the secret is too short.
    """
    try:
        secret = os.environ.get(WEBHOOK_SECRET_VARIABLE, "") if file is None else file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as cause:
        reason = cause.strerror if isinstance(cause, OSError) else "it is not text"
        raise ServingError(f"the webhook's secret cannot be read from {file}: {reason}") from cause
    secret = secret.strip()
    if (secret or file is not None) and len(secret) < _LEAST_SECRET:
        where = file or WEBHOOK_SECRET_VARIABLE
        raise ServingError(
            f"the webhook's secret in {where} must have at least {_LEAST_SECRET} characters, got {len(secret)}; "
            "make one with `openssl rand -hex 32`"
        )
    return secret


def service_settings(
    *,
    workspace: Path,
    model_store: Path,
    models: tuple[str, ...],
    tracking_uri: str = "",
    trusted_keys: Path | None = None,
    host: str = LOOPBACK,
    port: int = GATEWAY_PORT,
    security: SecuritySettings | None = None,
    worker_host: WorkerHostKind = WorkerHostKind.TORCHSERVE,
    metrics_port: int = 0,
    gateway_metrics_port: int = 0,
    gateway_metrics_host: str = LOOPBACK,
    http_port: int | None = None,
    webhook_secret: str = "",
    workers: int = 1,
    max_in_flight: int = 256,
    exposures: Path | None = None,
    exposure_days: float = 30.0,
    exposure_mb: int = 1024,
    max_deadline_s: float = 30.0,
    drain_s: float | None = None,
    poll_s: float = 1.0,
    grace_s: float = 15.0,
    access_log: str | None = None,
    ready_file: Path | None = None,
) -> ServiceSettings:
    """Build settings from the options of the command line; everything else keeps its default.

    A drain waits for the longest deadline, unless `drain_s` says otherwise. A version that is removed is given longer
    than the longest deadline in any case.

    Raises:
        ValueError: a value is out of range.
    """
    return ServiceSettings(
        tracking_uri=tracking_uri or default_tracking_uri(workspace),
        models=models,
        host=_HOSTS[worker_host](model_store=model_store, log_dir=workspace / "logs", metrics_port=metrics_port),
        sync=SyncSettings(
            model_store=model_store,
            last_good=workspace / "last_good",
            trusted_keys=trusted_keys,
            workers=workers,
            poll_s=poll_s,
            grace_s=grace_s,
            drain_timeout_s=max(_DRAIN_TIMEOUT_S, max_deadline_s + _DRAIN_MARGIN_S),
        ),
        gateway=GatewaySettings(
            host=host,
            port=port,
            security=security or SecuritySettings(),
            max_in_flight=max_in_flight,
            max_deadline_s=max_deadline_s,
            drain_s=max_deadline_s if drain_s is None else drain_s,
        ),
        exposures=(
            None
            if exposures is None
            else ExposureSettings(folder=exposures, max_days=exposure_days, max_mb=exposure_mb)
        ),
        http=None if http_port is None else HttpSettings(host=host, port=http_port, webhook_secret=webhook_secret),
        learned_references=workspace / "references",
        gateway_metrics_port=gateway_metrics_port,
        gateway_metrics_host=gateway_metrics_host,
        access_log=access_log,
        ready_file=ready_file,
    )
