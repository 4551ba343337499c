from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from serving.torchserve.repairs import (
    ALL_DEAD_PATIENCE_S,
    GIVEN_UP_S,
    PAUSES_S,
    RELOAD_AFTER,
    TAIL_PATIENCE_S,
    VersionRepairs,
)
from serving.workers.host import Repair
from serving.workers.verdicts import WorkerLook

READY, LOADING, DEAD = "ready", "loading", "dead"


def workers(*states: str, first: int = 0) -> tuple[WorkerLook, ...]:
    return tuple(
        WorkerLook(id=str(first + index), pid=index + 1, ready=state == READY, alive=state != DEAD)
        for index, state in enumerate(states)
    )


def test_nothing_is_done_while_all_workers_are_there_or_on_their_way() -> None:
    repairs = VersionRepairs()
    for now_s in range(1000):
        assert repairs.plan(workers(READY, READY), wanted=2, now_s=now_s) is None
        assert repairs.plan(workers(READY, LOADING), wanted=2, now_s=now_s) is None


def test_workers_that_the_list_lacks_are_added_at_once() -> None:
    assert VersionRepairs().plan(workers(READY), wanted=4, now_s=0) == Repair(scale_to=(4,))


def test_a_version_without_any_worker_gets_one_first_and_the_others_when_it_is_ready() -> None:
    repairs = VersionRepairs()
    assert repairs.plan((), wanted=3, now_s=0) == Repair(scale_to=(1,))
    assert repairs.plan(workers(LOADING), wanted=3, now_s=1) is None
    assert repairs.plan(workers(READY), wanted=3, now_s=2) == Repair(scale_to=(3,))


def test_dead_workers_are_cleared_from_the_list_when_no_other_lives_and_torchserve_starts_none() -> None:
    repairs = VersionRepairs()
    for now_s in range(int(ALL_DEAD_PATIENCE_S)):
        assert repairs.plan(workers(DEAD, DEAD), wanted=2, now_s=now_s) is None
    assert repairs.plan(workers(DEAD, DEAD), wanted=2, now_s=ALL_DEAD_PATIENCE_S) == Repair(scale_to=(0, 1))


def test_dead_workers_behind_a_living_one_are_cleared_when_torchserve_had_its_time() -> None:
    repairs = VersionRepairs()
    for now_s in range(int(TAIL_PATIENCE_S)):
        assert repairs.plan(workers(READY, DEAD), wanted=2, now_s=now_s) is None
    assert repairs.plan(workers(READY, DEAD), wanted=2, now_s=TAIL_PATIENCE_S) == Repair(scale_to=(1, 2))


def test_a_dead_worker_before_a_living_one_gets_a_successor_when_it_is_given_up() -> None:
    repairs = VersionRepairs()
    for now_s in range(int(GIVEN_UP_S)):
        assert repairs.plan(workers(DEAD, READY), wanted=2, now_s=now_s) is None
    assert repairs.plan(workers(DEAD, READY), wanted=2, now_s=GIVEN_UP_S) == Repair(scale_to=(3,))
    assert repairs.plan(workers(DEAD, READY, READY), wanted=2, now_s=GIVEN_UP_S + 200) is None


def test_a_worker_that_torchserve_starts_again_in_time_is_not_counted_as_dead_before() -> None:
    repairs = VersionRepairs()
    for round_s in range(0, 300, 20):
        for now_s in range(round_s, round_s + 10):
            assert repairs.plan(workers(READY, DEAD), wanted=2, now_s=now_s) is None
        assert repairs.plan(workers(READY, READY), wanted=2, now_s=round_s + 10) is None


def test_repairs_in_vain_become_rare_and_end_in_a_registration() -> None:
    repairs, times, last = VersionRepairs(), [], None
    for now_s in range(600):
        repair = repairs.plan(workers(DEAD), wanted=1, now_s=now_s)
        if repair is not None:
            times.append(now_s)
            last = repair
            if len(times) == RELOAD_AFTER + 1:
                break
    assert last == Repair(reload=True)
    pauses = [later - earlier for earlier, later in pairwise(times)]
    assert pauses == [PAUSES_S[0], 2 * PAUSES_S[0]]


STATES = st.lists(st.sampled_from([READY, LOADING, DEAD]), max_size=6)


@given(st.lists(STATES, min_size=1, max_size=40), st.integers(1, 4), st.sampled_from([0.5, 20.0, 700.0]))
def test_no_scaling_takes_a_living_worker_off_the_list(scenes: list[list[str]], wanted: int, step_s: float) -> None:
    repairs = VersionRepairs()
    for index, states in enumerate(scenes):
        repair = repairs.plan(workers(*states), wanted=wanted, now_s=index * step_s)
        living = [index for index, state in enumerate(states) if state != DEAD]
        if repair is not None and repair.scale_to:
            # TorchServe keeps the first ones of its list.
            assert min(repair.scale_to) > living[-1] if living else repair.scale_to[-1] == 1
