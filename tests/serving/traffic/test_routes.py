from __future__ import annotations

import asyncio

import pytest

from serving.registry.contents import ArchiveInfo
from serving.traffic.routes import NotReadyError, Route, RoutingTable, UnknownRouteError


def route(version: str, model: str = "lcgan") -> Route:
    info = ArchiveInfo(
        model=model,
        version=version,
        sha256="ab" * 32,
        topics=("sound", "news"),
        desired_topic="sound",
        num_genres=12,
        batch_size=8,
    )
    return Route(info=info, slots=asyncio.Semaphore(8), aliases=("champion",))


@pytest.fixture
def table() -> RoutingTable:
    table = RoutingTable(("lcgan", "cvae"))
    for version in ("2", "10"):
        table.add(route(version))
    table.switch("lcgan", "2")
    return table


def test_a_request_without_a_pin_goes_to_the_champion(table: RoutingTable) -> None:
    assert table.resolve("lcgan", None).info.version == "2"


def test_a_pin_finds_its_version(table: RoutingTable) -> None:
    assert table.resolve("lcgan", "10").info.version == "10"


def test_a_model_that_is_not_served_is_unknown_and_the_served_ones_are_named(table: RoutingTable) -> None:
    with pytest.raises(UnknownRouteError, match=r"'gan'.*lcgan, cvae"):
        table.resolve("gan", None)


def test_a_missing_version_is_late_before_the_registry_was_followed_and_unknown_after(table: RoutingTable) -> None:
    with pytest.raises(NotReadyError, match="lcgan 3 is being loaded"):
        table.resolve("lcgan", "3")
    table.settle("lcgan")
    with pytest.raises(UnknownRouteError, match="'3'; live: 2, 10"):
        table.resolve("lcgan", "3")


def test_a_model_without_a_champion_says_how_to_get_one(table: RoutingTable) -> None:
    with pytest.raises(NotReadyError):
        table.resolve("cvae", None)
    table.settle("cvae")
    with pytest.raises(UnknownRouteError, match="models promote cvae"):
        table.resolve("cvae", None)


def test_only_a_live_version_can_become_champion(table: RoutingTable) -> None:
    with pytest.raises(ValueError, match="lcgan 3 is not live"):
        table.switch("lcgan", "3")


def test_a_removed_champion_answers_no_more(table: RoutingTable) -> None:
    table.settle("lcgan")
    table.remove("lcgan", "2")
    assert table.champion("lcgan") is None
    with pytest.raises(UnknownRouteError):
        table.resolve("lcgan", None)


def test_while_torchserve_is_gone_everything_is_late(table: RoutingTable) -> None:
    table.settle("lcgan")
    table.suspend()
    for version in (None, "2"):
        with pytest.raises(NotReadyError):
            table.resolve("lcgan", version)


def test_a_description_lists_versions_in_the_order_of_their_numbers(table: RoutingTable) -> None:
    lcgan, cvae = table.describe()
    assert [version.version for version in lcgan.versions] == ["2", "10"]
    assert (lcgan.champion, cvae.champion, cvae.versions) == ("2", "", ())


def test_a_route_is_idle_when_the_last_request_lets_go(table: RoutingTable) -> None:
    async def scene() -> None:
        held = table.resolve("lcgan", None)
        await asyncio.wait_for(held.wait_idle(), 1)
        with held.hold():
            with held.hold():
                assert held.in_flight == 2
            idle = asyncio.create_task(held.wait_idle())
            await asyncio.sleep(0)
            assert not idle.done()
        await asyncio.wait_for(idle, 1)
        assert held.in_flight == 0

    asyncio.run(scene())
