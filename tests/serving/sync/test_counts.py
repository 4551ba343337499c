from __future__ import annotations

from serving.sync.counts import SyncCounts


def test_events_are_counted_by_model_and_every_model_is_there_from_the_start() -> None:
    counts = SyncCounts(("lcgan", "cvae"))
    assert counts.errors == {"lcgan": 0, "cvae": 0}
    counts.switched("lcgan")
    counts.refused("cvae")
    for _ in range(2):
        counts.failed("lcgan")
    assert (counts.switches["lcgan"], counts.errors["lcgan"], counts.refused_versions["lcgan"]) == (1, 2, 0)
    assert (counts.switches["cvae"], counts.errors["cvae"], counts.refused_versions["cvae"]) == (0, 0, 1)
