from __future__ import annotations

from dataclasses import replace

from serving.registry.versions import RegisteredVersion
from serving.sync.refusals import Refusals

TAGGED = RegisteredVersion(
    model="lcgan", version="2", aliases=("champion",), run_id="", archive_path="", archive_sha256="", sync_error="bad"
)
UNTAGGED = replace(TAGGED, sync_error="")


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_refused_version_waits_twice_as_long_each_time_up_to_the_longest_pause() -> None:
    clock = Clock()
    refusals = Refusals(5.0, 12.0, clock=clock)
    for pause in (5.0, 10.0, 12.0, 12.0):
        refusals.add("2")
        clock.now += pause - 0.1
        assert refusals.still() == {"2"}
        clock.now += 0.1
        assert refusals.still() == frozenset()


def test_a_version_whose_reason_was_removed_from_the_registry_is_tried_at_once() -> None:
    refusals = Refusals(5.0, 120.0, clock=Clock())
    refusals.add("2")
    # The registry does not have the reason yet, or it could not be written.
    refusals.see([UNTAGGED])
    assert refusals.still() == {"2"}
    refusals.see([TAGGED])
    assert refusals.still() == {"2"}
    refusals.see([UNTAGGED])
    assert refusals.still() == frozenset()


def test_a_version_that_is_live_starts_with_the_first_pause_again() -> None:
    clock = Clock()
    refusals = Refusals(5.0, 120.0, clock=clock)
    refusals.add("2")
    refusals.forget("2")
    assert refusals.still() == frozenset()
    refusals.add("2")
    clock.now += 5.0
    assert refusals.still() == frozenset()


def test_a_version_that_was_postponed_is_not_blamed_and_is_tried_at_once_by_another_torchserve() -> None:
    clock = Clock()
    refusals = Refusals(5.0, 120.0, clock=clock)
    refusals.postpone("2", 1.0)
    assert refusals.still() == {"2"}
    refusals.forget_postponed()
    assert refusals.still() == frozenset()
    refusals.postpone("2", 1.0)
    clock.now += 1.0
    assert refusals.still() == frozenset()
