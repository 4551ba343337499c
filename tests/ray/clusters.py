"""Ray clusters of nodes on this machine: each node has processes of its own, as on machines of their own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import psutil
from ray.cluster_utils import Cluster


@dataclass
class Started:
    """A cluster; node 0 is its head."""

    cluster: Any
    nodes: list[Any] = field(default_factory=list)

    @property
    def address(self) -> str:
        return str(self.cluster.address)

    def kill(self, number: int) -> None:
        """Kill the processes of a node at once, as a power cut would; those of its actors end with them."""
        for processes in self.nodes[number].all_processes.values():
            for each in processes:
                pid = each.process.pid
                for child in psutil.Process(pid).children(recursive=True):
                    child.kill()
                each.process.kill()


@contextmanager
def cluster(cores: Sequence[int]) -> Iterator[Started]:
    """Start a cluster with so many cores on each node; all its processes end with the block."""
    started = Started(Cluster())
    try:
        for number in cores:
            store = 128 * 2**20
            started.nodes.append(started.cluster.add_node(num_cpus=number, object_store_memory=store, num_gpus=0))
        started.cluster.wait_for_nodes()
        yield started
    finally:
        started.cluster.shutdown()
