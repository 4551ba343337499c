"""Processes of the service that are killed or held, under load."""

from __future__ import annotations

import os
import shutil
import signal
import time

import psutil
import pytest

from tests.faults.inspecting import GUARD, alive, parts_of
from tests.faults.load import ONCE, RETRYING, Call, wait_for
from tests.faults.reporting import Row
from tests.faults.scene import House, observing
from tests.serving.support import assert_gone

pytestmark = [pytest.mark.integration, pytest.mark.fault, pytest.mark.timeout(240)]


@pytest.mark.promise("processes", "one of two workers killed", "nobody notices; gap under 1 s")
def test_one_worker_killed(house: House, row: Row) -> None:
    with observing(house, row) as seen:
        os.kill(house.worker_pids()[0], signal.SIGKILL)
        seen.last(1)
        seen.wait_normal()
    assert seen.failures(RETRYING) == seen.failures(ONCE) == {}
    assert seen.serving_throughout
    assert row.gap_s < 1


@pytest.mark.promise(
    "processes", "all workers killed", "health says so; retries bridge what they can; back within 30 s"
)
def test_all_workers_killed(house: House, row: Row) -> None:
    with observing(house, row) as seen:
        for pid in house.worker_pids():
            os.kill(pid, signal.SIGKILL)
        seen.last(1)
        seen.wait_normal()
    assert not seen.serving_throughout
    assert row.normal_s < 30
    assert set(seen.failures(ONCE)) <= {"UNAVAILABLE", "DEADLINE_EXCEEDED"}


@pytest.mark.promise(
    "processes", "one of two workers held (SIGSTOP)", "replaced within 30 s; clients with retries see nothing"
)
def test_one_worker_held(house: House, row: Row) -> None:
    with observing(house, row) as seen:
        held = house.worker_pids()[0]
        os.kill(held, signal.SIGSTOP)
        wait_for(lambda: not alive([held]), timeout_s=30, what="the replacement of the held worker")
        seen.wait_normal()
    assert seen.failures(RETRYING) == {}
    assert row.normal_s < 30


@pytest.mark.promise(
    "processes", "all workers held (SIGSTOP)", "replaced within 30 s; health says NOT_SERVING until then"
)
def test_all_workers_held(house: House, row: Row) -> None:
    with observing(house, row) as seen:
        held = house.worker_pids()
        for pid in held:
            os.kill(pid, signal.SIGSTOP)
        wait_for(lambda: not alive(held), timeout_s=30, what="the replacement of the held workers")
        seen.wait_normal()
    assert not seen.serving_throughout
    assert row.normal_s < 30


@pytest.mark.promise(
    "processes", "JVM killed", "restarted; UNAVAILABLE at once meanwhile, no call hangs; health says so"
)
def test_jvm_killed(house: House, row: Row) -> None:
    with observing(house, row) as seen:
        house.running.jvm.kill()
        seen.last(1)
        seen.wait_normal()
    _no_call_hung(seen.load.failures(ONCE.name), within_s=2)
    assert not seen.serving_throughout
    assert row.normal_s < 30


@pytest.mark.promise("processes", "JVM held (SIGSTOP)", "noticed and replaced within 30 s; health says NOT_SERVING")
def test_jvm_held(house: House, row: Row) -> None:
    with observing(house, row) as seen:
        jvm = house.running.jvm
        jvm.suspend()
        wait_for(lambda: not alive([jvm.pid]), timeout_s=30, what="the replacement of the held JVM")
        seen.wait_normal()
    assert not seen.serving_throughout
    assert row.normal_s < 45


@pytest.mark.promise("processes", "guard of the JVM killed", "the JVM ends with it, and another is started")
def test_guard_killed(house: House, row: Row) -> None:
    with observing(house, row) as seen:
        before = house.pids()
        guard = next(part.pid for part in parts_of(house.running.process.pid) if part.role == GUARD)
        os.kill(guard, signal.SIGKILL)
        seen.last(1)
        seen.wait_normal()
    orphans = [pid for pid in alive(before) if pid != house.running.process.pid]
    assert orphans == []
    assert not seen.serving_throughout


@pytest.mark.promise(
    "processes", "`serve` ended by SIGTERM and started again", "what is in flight is answered; nothing is left"
)
def test_serve_terminated(house: House, row: Row) -> None:
    with observing(house, row) as seen:
        family = house.running.family()
        assert house.stop(signal.SIGTERM) == 0
        assert_gone(family, timeout_s=2)
        stopped_s = seen.load.now_s()
        seen.note(f"stopped in {stopped_s - seen.fault_s:.1f} s")
        house.start()
        seen.wait_normal()
    # gRPC gives up calls that arrive in the last moment with CANCELLED; the client tries those again.
    assert set(seen.failures(ONCE)) <= {"UNAVAILABLE", "CANCELLED"}
    assert set(seen.failures(RETRYING)) <= {"UNAVAILABLE"}
    _no_call_hung(seen.load.failures(ONCE.name), within_s=2)


@pytest.mark.promise(
    "processes", "`serve` killed by SIGKILL and started again", "no process outlives it; it starts as ever"
)
def test_serve_killed(house: House, row: Row) -> None:
    with observing(house, row) as seen:
        family = house.running.family()
        house.running.process.kill()
        house.running.process.wait()
        _, left = psutil.wait_procs(family, timeout=10)
        seen.note(f"all processes gone after {seen.load.now_s() - seen.fault_s:.1f} s")
        assert left == []
        house.start()
        seen.wait_normal()
    assert set(seen.failures(ONCE)) <= {"UNAVAILABLE", "DEADLINE_EXCEEDED"}


@pytest.mark.promise(
    "processes",
    "TorchServe's folder removed, then a worker killed",
    "noticed; TorchServe is replaced; back within 45 s",
)
def test_torchserve_folder_removed(house: House, row: Row) -> None:
    (folder,) = (house.folder / "logs" / "run").glob("deephypebot-*")
    with observing(house, row) as seen:
        shutil.rmtree(folder)
        os.kill(house.worker_pids()[0], signal.SIGKILL)
        seen.last(2)
        seen.wait_normal()
    assert row.normal_s < 45


@pytest.mark.promise(
    "processes", "unpacked model removed for 10 s, workers killed", "loaded again by itself when the trouble ends"
)
def test_model_folder_removed(house: House, row: Row) -> None:
    folders = list((house.folder / "store").glob(".unpacked-*/*"))
    assert folders
    with observing(house, row) as seen:
        for folder in folders:
            folder.rename(folder.with_name(f"hidden-{folder.name}"))
        for pid in house.worker_pids():
            os.kill(pid, signal.SIGKILL)
        time.sleep(10)
        for folder in folders:
            hidden = folder.with_name(f"hidden-{folder.name}")
            if folder.exists():
                shutil.rmtree(hidden)
            else:
                hidden.rename(folder)
        seen.heal()
        seen.wait_normal(120)
    assert row.normal_s < 60


def _no_call_hung(failures: list[Call], *, within_s: float) -> None:
    slow = [call for call in failures if call.code == "UNAVAILABLE" and call.ended_s - call.began_s > within_s]
    assert slow == []
