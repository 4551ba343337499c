from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.workers.replacements import WorkerFault
from serving.workers.verdicts import (
    ALL_HUNG_S,
    HUNG_S,
    IDLE_S,
    LATEST_LOOK_S,
    LOOK_S,
    SILENT_S,
    VersionJudge,
    VersionLook,
    VersionVerdict,
    WorkerLook,
)

PERIOD_S = LOOK_S
PROMISE_S = 10.0
"""Time within which health tells that nothing answers, as the documentation says."""
SLACK_S = 0.5
"""Time for a look that comes late and for the way of the news."""


@dataclass
class Scene:
    """A version with two workers that are looked at twice a second."""

    judge: VersionJudge = field(default_factory=VersionJudge)
    now_s: float = 100.0
    answered: int = 0
    oldest_s: float | None = None
    waiting_since_s: float | None = None
    ready: dict[str, bool] = field(default_factory=lambda: {"a": True, "b": True})
    alive: dict[str, bool] = field(default_factory=lambda: {"a": True, "b": True})
    stopped: set[str] = field(default_factory=set)
    switches: dict[str, int] = field(default_factory=lambda: {"a": 0, "b": 0})
    pids: dict[str, int] = field(default_factory=lambda: {"a": 1, "b": 2})

    def look(self) -> VersionVerdict:
        workers = tuple(
            WorkerLook(
                id=name,
                pid=self.pids[name],
                ready=self.ready[name],
                alive=self.alive[name],
                stopped=name in self.stopped,
                progress=(0.0, self.switches[name]),
            )
            for name in ("a", "b")
        )
        return self.judge.judge(
            VersionLook(
                now_s=self.now_s,
                workers=workers,
                answered=self.answered,
                oldest_s=self.oldest_s,
                waiting_since_s=self.waiting_since_s,
            )
        )

    def looks(self, for_s: float, *, working: str = "", answers: int = 0) -> Iterator[VersionVerdict]:
        """Look for some seconds, in which the named workers make progress and answer at each look."""
        for _ in range(round(for_s / PERIOD_S)):
            self.now_s += PERIOD_S
            for name in working:
                self.switches[name] += 1
            self.answered += answers
            if answers:
                self.waiting_since_s = self.now_s
            yield self.look()


def wait_from_now(scene: Scene) -> None:
    scene.look()
    scene.oldest_s = scene.waiting_since_s = scene.now_s


def test_workers_that_nobody_asks_are_well_however_long_they_do_nothing() -> None:
    scene = Scene()
    assert all(verdict == VersionVerdict(num_answering=2) for verdict in scene.looks(3600))


def test_a_stopped_worker_does_not_count_at_once_and_is_replaced_soon() -> None:
    scene = Scene()
    scene.look()
    scene.stopped.add("a")
    verdicts = list(scene.looks(2, working="b", answers=5))
    assert [verdict.num_answering for verdict in verdicts] == [1, 1, 1, 1]
    assert [verdict.replace for verdict in verdicts[:2]] == [(), ()]
    assert verdicts[2].replace == ((1, WorkerFault.STOPPED),)


def test_a_worker_that_is_stopped_for_a_moment_again_and_again_stays() -> None:
    scene = Scene()
    for _ in range(20):
        scene.stopped = {"a"}
        assert not any(verdict.replace for verdict in scene.looks(1))
        scene.stopped = set()
        assert [verdict.num_answering for verdict in scene.looks(0.5)] == [2]


def test_a_worker_that_is_left_behind_is_replaced_and_the_one_that_works_is_not() -> None:
    scene = Scene()
    wait_from_now(scene)
    verdicts = list(scene.looks(HUNG_S + 1, working="b", answers=2))
    assert verdicts[-1].replace == ((1, WorkerFault.HUNG),)
    assert verdicts[-1].num_answering == 1
    assert not any(verdict.replace for verdict in verdicts[: round(HUNG_S / PERIOD_S) - 1])
    assert verdicts[round(HUNG_S / PERIOD_S) - 2].suspicious


def test_an_idle_worker_beside_one_with_a_long_batch_is_not_replaced() -> None:
    scene = Scene()
    wait_from_now(scene)
    verdicts = list(scene.looks(60, working="b"))
    assert not any(verdict.replace for verdict in verdicts)
    assert all(verdict.num_answering == 2 for verdict in verdicts)


def test_workers_with_a_long_batch_each_are_neither_replaced_nor_told_of() -> None:
    scene = Scene()
    wait_from_now(scene)
    assert all(verdict == VersionVerdict(num_answering=2) for verdict in scene.looks(120, working="ab"))


def test_workers_that_all_do_nothing_while_somebody_waits_are_told_of_and_then_replaced() -> None:
    scene = Scene()
    wait_from_now(scene)
    verdicts = list(scene.looks(ALL_HUNG_S + PERIOD_S))
    silent_from = next(index for index, verdict in enumerate(verdicts) if verdict.num_answering == 0)
    assert SILENT_S <= (silent_from + 1) * PERIOD_S < SILENT_S + 1
    assert set(verdicts[-1].replace) == {(1, WorkerFault.HUNG), (2, WorkerFault.HUNG)}


def test_an_idle_version_whose_workers_hang_is_told_of_within_the_time_that_is_promised() -> None:
    scene = Scene()
    scene.look()
    hung_s = last_s = scene.now_s  # just after the last answer, the least likely time to be asked soon
    for verdict in scene.looks(2 * PROMISE_S):
        if verdict.num_answering == 0:
            break
        if scene.waiting_since_s is None and scene.now_s - last_s > IDLE_S:  # the probe
            scene.oldest_s = scene.waiting_since_s = scene.now_s
    assert scene.now_s - hung_s <= PROMISE_S - SLACK_S


def test_no_worker_is_replaced_when_health_begins_to_tell_that_it_is_silent() -> None:
    scene = Scene()
    wait_from_now(scene)
    told = next(verdict for verdict in scene.looks(60) if verdict.num_answering == 0)
    assert told.replace == ()
    (verdict,) = scene.looks(PERIOD_S, working="a", answers=1)
    assert (verdict.num_answering, verdict.replace) == (2, ())


def test_a_watch_that_was_held_up_itself_starts_over() -> None:
    scene = Scene()
    wait_from_now(scene)
    scene.stopped.add("a")
    assert not any(verdict.replace for verdict in scene.looks(1))
    for _ in range(10):
        scene.now_s += LATEST_LOOK_S + 1
        assert scene.look().replace == ()


def test_a_worker_that_was_started_again_is_a_new_one() -> None:
    scene = Scene()
    wait_from_now(scene)
    assert not any(verdict.replace for verdict in scene.looks(HUNG_S - 1, working="b", answers=5))
    scene.pids["a"] = 3
    assert not any(verdict.replace for verdict in scene.looks(HUNG_S - 1, working="b", answers=5))


@pytest.mark.parametrize("state", ["loading", "dead"])
def test_a_worker_that_loads_or_is_dead_does_not_count_and_is_not_replaced(state: str) -> None:
    scene = Scene()
    scene.ready["a"] = False
    scene.alive["a"] = state == "loading"
    assert all(verdict == VersionVerdict(num_answering=1) for verdict in scene.looks(60))


@given(st.lists(st.tuples(st.sampled_from(["a", "b", "ab"]), st.integers(0, 3)), min_size=1, max_size=300))
def test_a_worker_that_made_progress_within_the_time_is_never_replaced(steps: list[tuple[str, int]]) -> None:
    scene = Scene()
    wait_from_now(scene)
    since = {"a": scene.now_s, "b": scene.now_s}
    for working, answers in steps:
        (verdict,) = scene.looks(PERIOD_S, working=working, answers=answers)
        since.update(dict.fromkeys(working, scene.now_s))
        pids = {pid for pid, _ in verdict.replace}
        for name, pid in scene.pids.items():
            assert pid not in pids or scene.now_s - since[name] >= HUNG_S
