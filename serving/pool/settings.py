"""Settings of the pool."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolSettings:
    """Settings of the pool of worker processes."""

    model_store: Path
    """Folder of the archives."""
    log_dir: Path
    """Folder of the workers' log, workers.log, which is kept after they end; at most 15 MB."""
    metrics_port: int = 0
    """Port of the workers' Prometheus page; 0 takes any free one."""
    is_confined: bool = True
    """Whether workers can neither write files outside of their temporary folder, nor open TCP connections, nor signal
    or trace other processes, where the kernel can keep them from it (Linux 6.12 all of it, 6.2 the files)."""
    stop_grace_s: float = 1.0
    """Time between the end of a worker's connection and SIGKILL. Short, because the gateway has drained by then."""
    restart_backoff_s: tuple[float, float] = (0.2, 10.0)
    """First and longest pause before a worker that ended soon, or did not start, is started again; the first restart
    is at once, and the pause doubles."""
