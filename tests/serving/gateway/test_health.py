from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from serving.traffic.policy import Arm, TrafficPolicy
from tests.serving.loopback_gateway import Bench, bench

SERVICE = "deephypebot.v1.Commentary"
LCGAN, CVAE = f"{SERVICE}/lcgan", f"{SERVICE}/cvae"


def set_answers(it: Bench, **answers: bool) -> None:
    """Let versions of lcgan answer or not, each by its number after a `v`."""
    for name, value in answers.items():
        route = it.table.route("lcgan", name[1:])
        assert route is not None
        route.answers = value


def test_a_model_serves_while_its_champion_answers_and_the_default_model_stands_for_the_gateway() -> None:
    async def scene() -> None:
        async with bench() as it:
            for name in ("", SERVICE, LCGAN):
                assert await it.health(name) == "SERVING"
            assert await it.health(CVAE) == "NOT_SERVING"  # it has no champion
            set_answers(it, v2=False)
            await it.gateway.update_health()
            for name in ("", SERVICE, LCGAN, CVAE):
                assert await it.health(name) == "NOT_SERVING"
            set_answers(it, v2=True)
            await it.gateway.update_health()
            assert await it.health(LCGAN) == "SERVING"

    asyncio.run(scene())


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        ({"v1": True, "v2": True}, "SERVING"),
        ({"v1": False, "v2": True}, "SERVING"),
        ({"v1": True, "v2": False}, "SERVING"),
        ({"v1": False, "v2": False}, "NOT_SERVING"),
    ],
)
def test_a_split_model_serves_while_one_of_its_arms_answers(answers: dict[str, bool], expected: str) -> None:
    async def scene() -> None:
        async with bench() as it:
            arms = (Arm(version="1", share=0.2), Arm(version="2", share=0.8))
            it.table.set_policy("lcgan", TrafficPolicy(model="lcgan", arms=arms))
            set_answers(it, **answers)
            await it.gateway.update_health()
            assert await it.health(LCGAN) == expected

    asyncio.run(scene())


def test_a_version_without_a_share_does_not_make_a_model_serve() -> None:
    async def scene() -> None:
        async with bench() as it:
            arms = (Arm(version="1", share=0.0), Arm(version="2", share=1.0))
            it.table.set_policy("lcgan", TrafficPolicy(model="lcgan", arms=arms))
            set_answers(it, v1=True, v2=False)
            await it.gateway.update_health()
            assert await it.health(LCGAN) == "NOT_SERVING"

    asyncio.run(scene())


def test_a_watch_is_told_each_change_once() -> None:
    async def scene() -> None:
        async with bench() as it:
            stub: Any = health_pb2_grpc.HealthStub(cast("Any", it.channel))
            stream = stub.Watch(health_pb2.HealthCheckRequest(service=LCGAN))
            told = [(await stream.read()).status]
            for answers in (True, False, False, True):
                set_answers(it, v2=answers)
                await it.gateway.update_health()
                await asyncio.sleep(0.05)
            told += [(await asyncio.wait_for(stream.read(), 5)).status for _ in range(2)]
            stream.cancel()
            names = [health_pb2.HealthCheckResponse.ServingStatus.Name(status) for status in told]
            assert names == ["SERVING", "NOT_SERVING", "SERVING"]

    asyncio.run(scene())
