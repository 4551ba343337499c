from __future__ import annotations

import pytest

from serving.torchserve.errors import TorchServeError
from serving.torchserve.management import DescribedVersion, DescribedWorker
from serving.torchserve.registration import LoadWatch


def described(**ready: bool) -> DescribedVersion:
    """A version whose workers w1, w2, ... have loaded it or not."""
    return DescribedVersion(
        model="lcgan",
        version="2",
        archive="lcgan_2.mar",
        batch_size=8,
        workers=tuple(
            DescribedWorker(id=worker, pid=100 if loaded else -1, ready=loaded) for worker, loaded in ready.items()
        ),
    )


def test_a_version_is_loaded_when_all_its_workers_have_loaded_it() -> None:
    watch = LoadWatch(workers=2)
    assert not watch.is_loaded(described(), {})
    assert not watch.is_loaded(described(w1=False, w2=False), {})
    assert not watch.is_loaded(described(w1=False, w2=False), {"w1": 11, "w2": 12})
    assert not watch.is_loaded(described(w1=True, w2=False), {"w1": 11, "w2": 12})
    assert watch.is_loaded(described(w1=True, w2=True), {"w1": 11, "w2": 12})


def test_more_workers_than_were_asked_for_are_not_what_was_asked_for() -> None:
    assert not LoadWatch(workers=1).is_loaded(described(w1=True, w2=True), {"w1": 11, "w2": 12})


@pytest.mark.parametrize("processes", [{}, {"w1": 13}], ids=["gone", "another one in its place"])
def test_a_worker_that_dies_while_it_loads_is_a_fault_at_once(processes: dict[str, int]) -> None:
    watch = LoadWatch(workers=1)
    watch.is_loaded(described(w1=False), {"w1": 11})
    with pytest.raises(TorchServeError, match=r"lcgan_2[.]mar: Failed to start workers"):
        watch.is_loaded(described(w1=False), processes)


def test_a_process_that_was_listed_just_before_its_worker_was_ready_is_not_missed() -> None:
    watch = LoadWatch(workers=1)
    watch.is_loaded(described(w1=False), {"w1": 11})
    assert watch.is_loaded(described(w1=True), {})
