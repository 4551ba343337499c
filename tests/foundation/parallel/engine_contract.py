"""Promises of every engine, as tests that each adapter's module inherits."""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from foundation.parallel.port import MAX_LOSSES, Engine, TaskLostError, WorkerFaultError
from tests.foundation.parallel import work


def counted(taken: list[int], number: int) -> Iterator[tuple[int, int]]:
    for each in range(number):
        taken.append(each)
        yield each, each


class EngineContract:
    """Tests that need a fixture `engine` with two workers."""

    def test_every_task_has_one_result_under_its_number(self, engine: Engine) -> None:
        found = list(engine.run(work.prepare_squares, counted([], 9)))
        assert sorted(found) == [(number, number * number) for number in range(9)]

    def test_without_a_task_nothing_is_started(self, engine: Engine) -> None:
        assert list(engine.run(work.prepare_nothing, [])) == []

    def test_the_work_is_done_elsewhere_and_by_two_processes(self, engine: Engine) -> None:
        pids = {pid for _, pid in engine.run(work.prepare_processes, counted([], 30))}
        assert len(pids) == 2
        assert os.getpid() not in pids

    def test_tasks_are_read_when_a_process_is_free(self, engine: Engine) -> None:
        taken: list[int] = []
        for done, _ in enumerate(engine.run(work.prepare_squares, counted(taken, 20)), 1):
            assert len(taken) <= done + 3, "two at work, and one that waits"

    def test_the_error_of_the_work_is_raised_here(self, engine: Engine) -> None:
        with pytest.raises(ValueError, match="three is refused"):
            list(engine.run(work.prepare_failing, [(0, 3)]))

    def test_an_error_that_cannot_travel_is_told_by_its_text(self, engine: Engine) -> None:
        with pytest.raises(WorkerFaultError, match="OddError: four is odd: 4"):
            list(engine.run(work.prepare_failing, [(0, 4)]))

    def test_the_error_of_the_preparation_is_raised_here(self, engine: Engine) -> None:
        with pytest.raises(FileNotFoundError, match="the model is not there"):
            list(engine.run(work.prepare_nothing, [(0, 1)]))

    def test_a_task_whose_process_is_killed_is_done_by_another(self, engine: Engine, tmp_path: Path) -> None:
        dying = partial(work.prepare_dying, tmp_path, 2, MAX_LOSSES - 1)
        assert sorted(engine.run(dying, counted([], 5))) == [(number, number) for number in range(5)]
        assert len(list(tmp_path.iterdir())) == MAX_LOSSES - 1

    def test_a_task_that_kills_three_processes_is_named(self, engine: Engine, tmp_path: Path) -> None:
        with pytest.raises(TaskLostError, match=r"task 2 ended its process 3 times") as caught:
            list(engine.run(partial(work.prepare_dying, tmp_path, 2, 99), counted([], 5)))
        assert (caught.value.number, caught.value.losses) == (2, MAX_LOSSES)
        assert len(list(tmp_path.iterdir())) == MAX_LOSSES
