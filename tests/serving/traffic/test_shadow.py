from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from math import inf
from pathlib import Path
from typing import Any

import pytest

from handlers.contract import CommentaryRequest, CommentaryResponse, RankBy
from serving.traffic.admission.counts import AdmissionCounts
from serving.traffic.admission.work import work_of
from serving.traffic.exposures import Exposure, Recorder, Role, ShadowOutcome
from serving.traffic.figures import FigureBook
from serving.traffic.policy import Arm, TrafficPolicy
from serving.traffic.pressure import Pressure
from serving.traffic.reading import ExposureFiles
from serving.traffic.route import Route
from serving.traffic.routes import RoutingTable
from serving.traffic.shadow import Mirror, ShadowSettings, with_seed
from tests.serving.loopback_gateway import route, until
from tests.serving.traffic.exposing import answer, recorder, request

POLICY = TrafficPolicy(model="lcgan", arms=(Arm(version="2", share=1.0),), shadows=("3", "4"))


@dataclass
class Scene:
    """A mirror for lcgan with the shadows 3 and 4, of which the test says what they answer."""

    folder: Path
    ask: Callable[[Route, CommentaryRequest, float], Awaitable[CommentaryResponse]]
    limits: dict[str, Any] = field(default_factory=dict)
    cores: int = 16

    def __post_init__(self) -> None:
        self.table = RoutingTable(("lcgan",))
        for version in ("2", "3", "4"):
            self.table.add(route(version))
        self.pressure = Pressure(self.table, num_cores=self.cores)
        self.figures = FigureBook()
        self.recorder: Recorder = recorder(self.folder)
        self.mirror = Mirror(
            ShadowSettings(**{"pause_s": 0.0, **self.limits}),
            table=self.table,
            ask=self.ask,
            pressure=self.pressure,
            recorder=self.recorder,
            figures=self.figures,
        )

    def offer(self, number: int = 1, **values: Any) -> None:
        for index in range(number):
            asked = request(seed=index, unit="u", **values)
            self.mirror.offer(asked, policy=POLICY, answered_by="2", key=f"key {index}")

    def outcomes(self, version: str = "3") -> dict[str, int]:
        return {outcome.value: n for outcome, n in self.figures.of("lcgan", version).shadows.items() if n}

    @contextlib.asynccontextmanager
    async def client_waiting(self) -> AsyncIterator[None]:
        """Keep the only worker of version 2 busy for the length of the block."""
        release = asyncio.Event()

        async def send(_: float, started: Callable[[], None]) -> CommentaryResponse:
            started()
            await release.wait()
            return answer()

        arm = self.table.route("lcgan", "2")
        assert arm is not None
        asked = arm.admission.ask(
            work_of(request(), default_best_of=1), send, heavy=False, deadline=inf, counts=AdmissionCounts()
        )
        waiting = asyncio.create_task(asked)
        await until(lambda: arm.in_flight)
        yield
        release.set()
        await waiting

    async def until(self, outcomes: dict[str, int], version: str = "3") -> None:
        await asyncio.wait_for(until(lambda: self.outcomes(version) == outcomes), 5)

    def rows(self) -> list[Exposure]:
        return list(ExposureFiles(folders=[self.folder]))


async def answer_well(*_: object) -> CommentaryResponse:
    return answer()


async def answer_never(*_: object) -> CommentaryResponse:
    await asyncio.Event().wait()
    raise AssertionError


def test_a_shadow_without_a_value_function_gets_no_copy_that_asks_for_one_and_fails_none(tmp_path: Path) -> None:
    async def scene() -> None:
        it = Scene(tmp_path, answer_well)
        it.table.add(route("5", ranks_by_value=True))
        policy = dataclasses.replace(POLICY, shadows=("4", "5"))
        for rule in (RankBy.VALUE, RankBy.BOTH, RankBy.ACCEPTABILITY):
            it.mirror.offer(request(seed=1, rank_by=rule), policy=policy, answered_by="2", key="key")
        await it.until({"dropped_unable": 2, "answered": 1}, "4")
        await it.until({"answered": 3}, "5")
        assert [row.version for row in it.rows() if row.outcome is ShadowOutcome.FAILED] == []
        await it.mirror.close()

    asyncio.run(scene())


def test_each_shadow_gets_the_request_as_it_was_answered_and_its_row_says_so(tmp_path: Path) -> None:
    asked: list[tuple[str, CommentaryRequest]] = []

    async def ask(to: Route, copy: CommentaryRequest, _: float) -> CommentaryResponse:
        asked.append((to.info.version, copy))
        return answer()

    async def scene() -> None:
        it = Scene(tmp_path, ask)
        it.offer(2)
        await it.until({"answered": 2}, "3")
        await it.until({"answered": 2}, "4")
        for version in ("3", "4"):
            assert [copy for to, copy in asked if to == version] == [
                request(seed=0, unit="u"),
                request(seed=1, unit="u"),
            ]
        assert sorted((row.version, row.mirrors) for row in it.rows()) == [
            ("3", "key 0"), ("3", "key 1"), ("4", "key 0"), ("4", "key 1"),
        ]  # fmt: skip
        assert {(row.role, row.outcome, row.policy_revision) for row in it.rows()} == {
            (Role.SHADOW, ShadowOutcome.ANSWERED, POLICY.revision)
        }

    asyncio.run(scene())


def test_a_copy_is_sent_only_after_offering_has_returned(tmp_path: Path) -> None:
    asked: list[object] = []

    async def ask(*copy: object) -> CommentaryResponse:
        asked.append(copy)
        return answer()

    async def scene() -> None:
        it = Scene(tmp_path, ask)
        it.offer()
        assert asked == []
        await it.until({"answered": 1})

    asyncio.run(scene())


def test_one_copy_is_in_flight_a_bounded_number_waits_and_the_rest_is_dropped(tmp_path: Path) -> None:
    in_flight: list[int] = []
    release = asyncio.Event()

    async def ask(to: Route, *_: object) -> CommentaryResponse:
        if to.info.version == "3":
            in_flight.append(1)
            await release.wait()
            in_flight.pop()
        return answer()

    async def scene() -> None:
        it = Scene(tmp_path, ask, limits={"queue_size": 4})
        it.offer()
        await asyncio.sleep(0.01)
        it.offer(10)
        await it.until({"dropped_full": 6})
        await asyncio.sleep(0.02)
        assert in_flight == [1]
        release.set()
        await it.until({"dropped_full": 6, "answered": 5})

    asyncio.run(scene())


def test_copies_are_dropped_while_clients_wait_those_that_waited_already_as_well(tmp_path: Path) -> None:
    async def scene() -> None:
        it = Scene(tmp_path, answer_well, limits={"pause_s": 0.05})
        it.offer(2)
        async with it.client_waiting():
            it.offer(3)
            await it.until({"dropped_busy": 5})
            assert it.rows() == []
        it.offer()
        await it.until({"dropped_busy": 5, "answered": 1})

    asyncio.run(scene())


def test_with_few_cores_a_copy_waits_until_nobody_has_asked_for_as_long_as_it_takes(tmp_path: Path) -> None:
    async def ask_slowly(*_: object) -> CommentaryResponse:
        await asyncio.sleep(0.1)
        return answer()

    async def scene(cores: int) -> dict[str, int]:
        it = Scene(tmp_path / str(cores), ask_slowly, cores=cores)
        it.offer()
        await it.until({"answered": 1})
        it.offer()
        await asyncio.sleep(0.05)
        it.pressure.note()
        await asyncio.wait_for(until(lambda: sum(it.outcomes().values()) == 2), 5)
        it.offer()
        await asyncio.wait_for(until(lambda: sum(it.outcomes().values()) == 3), 5)
        return it.outcomes()

    assert asyncio.run(scene(2)) == {"answered": 2, "dropped_busy": 1}
    assert asyncio.run(scene(16)) == {"answered": 3}


def test_a_slow_answer_does_not_keep_all_later_copies_back(tmp_path: Path) -> None:
    seconds = [0.05]

    async def ask(to: Route, *_: object) -> CommentaryResponse:
        if to.info.version == "3":
            await asyncio.sleep(seconds.pop() if seconds else 0)
        return answer()

    async def scene() -> None:
        it = Scene(tmp_path, ask, cores=2)
        it.offer()
        await it.until({"answered": 1})

        async def ask_every_now_and_then() -> None:
            while it.outcomes()["answered"] == 1:
                it.offer()
                it.pressure.note()
                await asyncio.sleep(0.02)

        await asyncio.wait_for(ask_every_now_and_then(), 20)
        assert it.outcomes()["dropped_busy"] > 5, "the first of them gave way"

    asyncio.run(scene())


def test_a_shadow_that_fails_is_counted_recorded_and_told_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def ask(to: Route, *_: object) -> CommentaryResponse:
        if to.info.version == "3":
            raise ValueError("whatever it is")
        return answer()

    async def scene() -> None:
        it = Scene(tmp_path, ask)
        it.offer(2)
        await it.until({"failed": 2})
        it.offer()
        await it.until({"failed": 3})
        await it.until({"answered": 3}, "4")
        failed = [row for row in it.rows() if row.outcome is ShadowOutcome.FAILED]
        assert [(row.version, row.sample_seeds) for row in failed] == [("3", ())] * 3

    with caplog.at_level(logging.WARNING):
        asyncio.run(scene())
    assert [record.getMessage() for record in caplog.records] == ["the shadow lcgan/3 fails: whatever it is"]


def test_a_shadow_that_hangs_holds_up_nothing_but_its_own_copies(tmp_path: Path) -> None:
    async def ask(to: Route, *_: object) -> CommentaryResponse:
        return await (answer_never() if to.info.version == "3" else answer_well())

    async def scene() -> None:
        it = Scene(tmp_path, ask, limits={"queue_size": 2, "timeout_s": 0.2})
        it.offer()
        await asyncio.sleep(0.01)
        it.offer(4)
        await it.until({"dropped_full": 2})
        await it.until({"answered": 3, "dropped_full": 2}, "4")
        await it.until({"dropped_full": 2, "failed": 3})

    asyncio.run(scene())


def test_shadows_that_are_not_live_and_the_version_that_answered_get_no_copy(tmp_path: Path) -> None:
    async def scene() -> None:
        it = Scene(tmp_path, answer_well)
        it.table.remove("lcgan", "3")
        it.mirror.offer(request(seed=1), policy=POLICY, answered_by="4", key="k")
        await asyncio.sleep(0.02)
        assert (it.outcomes("3"), it.outcomes("4")) == ({}, {})

    asyncio.run(scene())


def test_copies_for_a_version_that_is_removed_meanwhile_are_forgotten(tmp_path: Path) -> None:
    async def scene() -> None:
        it = Scene(tmp_path, answer_well, limits={"pause_s": 0.01})
        it.offer(3)
        it.table.remove("lcgan", "3")
        await it.until({"answered": 3}, "4")
        assert it.outcomes("3") == {}
        it.table.add(route("3"))
        it.offer()
        await it.until({"answered": 1}, "3")

    asyncio.run(scene())


def test_closing_gives_up_copies_and_leaves_no_task(tmp_path: Path) -> None:
    async def scene() -> None:
        it = Scene(tmp_path, answer_never)
        it.offer(5)
        await asyncio.sleep(0.01)
        await asyncio.wait_for(it.mirror.close(), 5)
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(scene())


def test_a_closed_mirror_takes_no_copy_of_the_answers_of_a_drain(tmp_path: Path) -> None:
    async def scene() -> None:
        it = Scene(tmp_path, answer_well)
        await it.mirror.close()
        it.offer(5)
        assert asyncio.all_tasks() == {asyncio.current_task()}
        assert it.outcomes() == {}

    asyncio.run(scene())


def test_requests_without_a_seed_get_one_where_shadows_must_draw_the_same() -> None:
    seeds = {with_seed(request(), POLICY).seed for _ in range(20)}
    assert None not in seeds
    assert len(seeds) == 20
    assert with_seed(request(seed=7), POLICY).seed == 7
    for policy in (None, TrafficPolicy(model="lcgan", arms=POLICY.arms)):
        assert with_seed(request(), policy).seed is None
