"""Speed of the sync: 10,000 verdicts take at most two minutes, here a part of them in as much of the time.

It is processor time, so that other programs on the machine do not count.
"""

from __future__ import annotations

import time

import pytest

from tests.experiments.tracking.world import World, verdict

VERDICTS = 600
SECONDS = 120 * VERDICTS / 10_000


@pytest.mark.alone
def test_ten_thousand_verdicts_take_at_most_two_minutes_of_processor_time(world: World) -> None:
    warm, *songs = world.add_songs([["1", "1", "1", "2", "2", "2"]] * (1 + VERDICTS // 6))
    world.decide(*(verdict(name, True) for name in warm))
    world.sync()  # imports, and the figures of both versions
    world.decide(*(verdict(name, number % 3 > 0) for song in songs for number, name in enumerate(song)))
    before = time.process_time()
    result = world.sync()
    seconds = time.process_time() - before
    assert result.sent == VERDICTS // 3
    judged = {version: world.metrics(version)["verdicts.judged"] for version in ("1", "2")}
    assert judged == {"1": VERDICTS / 2 + 3, "2": VERDICTS / 2 + 3}
    assert seconds <= SECONDS, f"{seconds:.1f} s, of which {SECONDS:.1f} are allowed"
