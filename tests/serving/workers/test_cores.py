from __future__ import annotations

import os
from pathlib import Path

import pytest

from foundation.processors import num_processors
from serving.workers.cores import CoreShares, default_workers


def test_workers_of_all_versions_share_the_cores_and_are_told_when_a_version_comes_or_goes(tmp_path: Path) -> None:
    file = tmp_path / "threads"
    shares = CoreShares(file, workers=2, cores=16)
    told = []
    for change, model, version in (
        (shares.add, "lcgan", "1"),
        (shares.add, "cvae", "1"),
        (shares.add, "lcgan", "2"),
        (shares.add, "lcgan", "2"),
        (shares.remove, "lcgan", "1"),
        (shares.remove, "lcgan", "9"),
    ):
        change(model, version)
        assert int(file.read_text()) == shares.threads
        told.append(shares.threads)
    assert told == [8, 4, 2, 2, 4, 4]
    assert [path.name for path in tmp_path.iterdir()] == ["threads"]


def test_every_worker_has_a_thread_where_there_are_more_workers_than_cores(tmp_path: Path) -> None:
    shares = CoreShares(tmp_path / "threads", workers=3, cores=2)
    shares.add("lcgan", "1")
    assert shares.threads == 1


def test_a_folder_that_went_with_its_torchserve_is_no_error(tmp_path: Path) -> None:
    CoreShares(tmp_path / "gone" / "threads", workers=1).add("lcgan", "1")


@pytest.mark.parametrize("cores", [1, 2, 64])
def test_by_default_every_core_has_a_worker_up_to_four(cores: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(cores)), raising=False)
    assert default_workers() == min(num_processors(), 4) <= cores
