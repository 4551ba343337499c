"""The engine of a Ray cluster, by the contract of all engines, on one node of this machine."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

pytest.importorskip("ray.cluster_utils", exc_type=ImportError)

from foundation.parallel.choosing import EngineName, choose_engine
from foundation.parallel.port import Engine, NoWorkersError
from tests.foundation.parallel import work
from tests.foundation.parallel.engine_contract import EngineContract
from tests.ray.clusters import cluster


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with cluster(cores=[2]) as started:
        yield started.address


class TestRayCluster(EngineContract):
    @pytest.fixture
    def engine(self, address: str) -> Engine:
        return choose_engine(EngineName.RAY, workers=2, address=address)


def test_there_is_an_actor_for_each_core_of_the_cluster(address: str) -> None:
    engine = choose_engine(EngineName.RAY, workers=0, address=address)
    pids = {pid for _, pid in engine.run(work.prepare_processes, [(number, number) for number in range(30)])}
    assert len(pids) == 2


def test_a_cluster_that_is_not_there_is_told() -> None:
    engine = choose_engine(EngineName.RAY, workers=1, address="127.0.0.1:1")
    with pytest.raises(NoWorkersError, match=r"the cluster at 127\.0\.0\.1:1 cannot be used"):
        list(engine.run(work.prepare_squares, [(0, 1)]))
