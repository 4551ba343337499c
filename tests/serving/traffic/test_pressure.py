from __future__ import annotations

import asyncio
from collections.abc import Callable
from math import inf

import pytest

from handlers.contract import CommentaryResponse
from serving.traffic.admission.counts import AdmissionCounts
from serving.traffic.admission.work import work_of
from serving.traffic.policy import Arm, TrafficPolicy
from serving.traffic.pressure import Pressure
from serving.traffic.route import make_route
from serving.traffic.routes import RoutingTable
from tests.serving.loopback_gateway import route, until
from tests.serving.traffic.exposing import answer, request

POLICY = TrafficPolicy(model="lcgan", arms=(Arm(version="2", share=1.0),), shadows=("3",))


@pytest.mark.parametrize(
    ("version", "cores", "requests", "is_full", "is_roomy"),
    [
        ("2", 2, 0, False, False),
        ("2", 4, 0, False, True),
        ("2", 2, 1, True, False),
        ("2", 3, 1, False, False),
        ("2", 5, 1, False, True),
        ("2", 64, 2, True, False),
        ("3", 2, 2, False, False),
    ],
)
def test_copies_give_way_where_workers_or_cores_are_short_and_not_to_other_copies(
    version: str, cores: int, requests: int, is_full: bool, is_roomy: bool
) -> None:
    async def scene() -> None:
        table = RoutingTable(("lcgan", "cvae"))
        for each in ("2", "3"):
            table.add(make_route(route(each).info, workers=2))
        table.set_policy("lcgan", POLICY)
        pressure = Pressure(table, num_cores=cores)
        asked = table.route("lcgan", version)
        assert asked is not None
        release = asyncio.Event()

        async def send(_: float, started: Callable[[], None]) -> CommentaryResponse:
            started()
            await release.wait()
            return answer()

        work = work_of(request(), default_best_of=1)
        held = [
            asyncio.create_task(asked.admission.ask(work, send, heavy=False, deadline=inf, counts=AdmissionCounts()))
            for _ in range(requests)
        ]
        await until(lambda: asked.in_flight == requests)
        assert (pressure.is_full(), pressure.is_roomy()) == (is_full, is_roomy)
        release.set()
        await asyncio.gather(*held)

    asyncio.run(scene())


def test_quiet_is_the_time_since_a_client_came() -> None:
    seconds = [5.0]
    pressure = Pressure(RoutingTable(("lcgan",)), num_cores=2, clock=lambda: seconds[-1])
    seconds.append(7.0)
    assert pressure.quiet_s == 2
    pressure.note()
    assert pressure.quiet_s == 0
