"""One registry and one service for all faults that heal; each other fault has a service of its own."""

from __future__ import annotations

import os
import time
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import pytest

from foundation.result_line import machine
from tests.faults.reporting import Row, page, read_rows
from tests.faults.scene import House, make_house
from tests.serving.support import EchoRegistry

ROW = pytest.StashKey[Row]()
PAGE_VARIABLE = "DEEPHYPEBOT_FAULTS_PAGE"
"""Variable with the page to write when the tests have run; `make faults` sets it."""


@pytest.fixture(scope="session")
def empty_registry(tmp_path_factory: pytest.TempPathFactory) -> EchoRegistry:
    """A registry without models, of which each house has a copy: to make one takes seconds."""
    return EchoRegistry.on_sqlite(tmp_path_factory.mktemp("registry"))


@pytest.fixture(scope="session")
def _houses(empty_registry: EchoRegistry, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[House]]:
    houses = [make_house(empty_registry, tmp_path_factory.mktemp("f") / "house", "lodger")]
    second = houses[0].register()
    houses[0].registry.alias("lodger", "previous", second)  # both answer, however the champion changes
    yield houses
    houses[0].close()


@pytest.fixture
def house(_houses: list[House]) -> House:
    """The shared service; started again if the fault before has left it unwell."""
    (house,) = _houses
    for _ in range(60):
        if house.is_well():
            return house
        if house.service is None:
            break
        time.sleep(0.25)
    house.close()
    house.start()
    for _ in range(240):
        if house.is_well():
            return house
        time.sleep(0.25)
    raise AssertionError(house.running.log())


@pytest.fixture
def row(request: pytest.FixtureRequest) -> Row:
    """The row of the test's marker `promise`."""
    marker = request.node.get_closest_marker("promise")
    assert marker is not None, "a test of a fault has the marker promise(area, fault, promise)"
    area, fault, promise = marker.args
    name = request.node.name.removeprefix("test_").replace("[", "-").rstrip("]").replace(" ", "-").replace("/", "-")
    row = Row(name=f"{area}-{name}"[:120], area=area, fault=fault, promise=promise)
    request.node.stash[ROW] = row
    return row


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Write the row of a test that has ended."""
    report = yield
    row = item.stash.get(ROW, None)
    if row is not None and report.when == "call" and not report.skipped:
        reason = str(call.excinfo.value).partition("\n")[0] if call.excinfo is not None else ""
        reason = reason if report.failed else row.missed
        row.verdict = "kept" if report.passed and not reason else f"**missed**: {reason[:160]}"
        row.write()
    return report


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Write the page from all rows."""
    path = os.environ.get(PAGE_VARIABLE)
    if path and not hasattr(session.config, "workerinput"):
        Path(path).write_text(page(read_rows(), _machine(), time.strftime("%Y-%m-%d")), encoding="utf-8")


def _machine() -> dict[str, Any]:
    return machine()
