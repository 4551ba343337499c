"""Engines by the names that commands take."""

from __future__ import annotations

from enum import StrEnum

from foundation.parallel.port import Engine
from foundation.parallel.processes import Processes


class EngineName(StrEnum):
    """Engine of work that is spread over processes."""

    LOCAL = "local"
    """Processes of this machine."""
    RAY = "ray"
    """Actors of a Ray cluster; needs the extra `ray`."""


def choose_engine(name: EngineName, *, workers: int, address: str = "", gpus: bool = False) -> Engine:
    """Return an engine.

    Args:
        name: name of the engine.
        workers: number of processes or actors; of actors, 0 stands for one per core or GPU of the cluster.
        address: address of the Ray cluster; see `foundation.parallel.ray_cluster.RayCluster`.
        gpus: whether each actor has a GPU to itself.

    Raises:
        ModuleNotFoundError: Ray is not installed.
    """
    if name is EngineName.LOCAL:
        return Processes(workers)
    from foundation.parallel.ray_cluster import RayCluster  # noqa: PLC0415 - an extra

    return RayCluster(address, workers=workers, gpus=gpus)
