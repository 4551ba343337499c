from __future__ import annotations

from dataclasses import replace

from serving.registry.versions import RegisteredVersion
from serving.sync.refusals import Refusals

VERSION = RegisteredVersion(
    model="lcgan", version="2", aliases=("champion",), run_id="", archive_path="", archive_sha256="", sync_error="bad"
)
OTHER = replace(VERSION, version="3")


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_refused_version_waits_twice_as_long_each_time_up_to_the_longest_pause() -> None:
    clock = Clock()
    refusals = Refusals(5.0, 12.0, clock=clock)
    for pause in (5.0, 10.0, 12.0, 12.0):
        refusals.add(VERSION, noted=True)
        clock.now += pause - 0.1
        assert refusals.still([VERSION, OTHER]) == {"2"}
        clock.now += 0.1
        assert refusals.still([VERSION, OTHER]) == frozenset()


def test_a_version_whose_reason_was_removed_from_the_registry_is_tried_at_once() -> None:
    refusals = Refusals(5.0, 120.0, clock=Clock())
    refusals.add(VERSION, noted=True)
    assert refusals.still([replace(VERSION, sync_error="")]) == frozenset()
    # Unless the registry never got the reason.
    refusals.add(VERSION, noted=False)
    assert refusals.still([replace(VERSION, sync_error="")]) == {"2"}


def test_a_version_that_is_live_starts_with_the_first_pause_again() -> None:
    clock = Clock()
    refusals = Refusals(5.0, 120.0, clock=clock)
    refusals.add(VERSION, noted=True)
    refusals.forget(VERSION)
    assert refusals.still([VERSION]) == frozenset()
    refusals.add(VERSION, noted=True)
    clock.now += 5.0
    assert refusals.still([VERSION]) == frozenset()
