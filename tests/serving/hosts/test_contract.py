"""The contract of worker hosts (`serving.workers.host`), which TorchServe and the pool keep alike."""

from __future__ import annotations

import asyncio
import os
import signal
import time
import zipfile
from pathlib import Path

import grpc
import psutil
import pytest

from handlers.contract import CommentaryResponse
from serving.errors import WorkerHostError
from serving.workers.batcher import Batcher
from serving.workers.faults import Failure, InferenceError
from serving.workers.host import HostLook
from serving.workers.kinds import WorkerHostKind
from serving.workers.verdicts import WorkerLook
from tests.serving.hosts.conftest import ANSWERING, BROKEN, IMPATIENT, MODEL, OTHER, Hosted
from tests.serving.loopback_gateway import until
from tests.serving.support import PLANTED, ask

pytestmark = [pytest.mark.integration, pytest.mark.timeout(240)]


def batcher(hosted: Hosted, version: str = ANSWERING, *, workers: int = 2, timeout_s: float = 30) -> Batcher:
    return hosted.running.inference.batcher(MODEL, version, num_workers=lambda: workers, timeout_s=timeout_s)


async def asked(to: Batcher, title: str = "x", artist: str = "", start_by: float | None = None) -> CommentaryResponse:
    """One request through the gateway's batches."""
    return await to.ask(ask(title=title, artist=artist or None).to_json(), samples=1, start_by=start_by)


async def refused(to: Batcher, artist: str = "", start_by: float | None = None) -> InferenceError:
    with pytest.raises(InferenceError) as fault:
        await asked(to, artist=artist, start_by=start_by)
    return fault.value


async def workers_of(hosted: Hosted, version: str = ANSWERING) -> tuple[WorkerLook, ...]:
    return (await hosted.running.take_census()).look_at(MODEL, version) or ()


async def until_ready(hosted: Hosted, count: int, version: str = ANSWERING) -> None:
    """Wait until so many workers are ready, and no more than these are there."""
    async with asyncio.timeout(30):
        while [  # noqa: ASYNC110 - a host tells of no worker by itself
            worker.ready and worker.alive for worker in await workers_of(hosted, version)
        ] != [True] * count:
            await asyncio.sleep(0.1)


def test_a_registered_version_answers_batches_and_single_requests_and_describes_itself(hosted: Hosted) -> None:
    async def scene() -> None:
        to = batcher(hosted)
        answers = await asyncio.gather(*(asked(to, str(number)) for number in range(100)))
        texts = [answer.samples[0].text for answer in answers]
        assert texts == [f"{number} by 1 from None" for number in range(100)]
        single = await hosted.running.inference.generate(ask(title="y"), model=MODEL, version=ANSWERING, timeout_s=10)
        assert single.samples[0].text == "y by 1 from None"
        described = await hosted.running.describe_worker(MODEL, ANSWERING)
        assert (described.genres, described.slots) == (("pop",), 3)
        assert described.threads == int(hosted.running.threads_file.read_text())

    hosted.run(scene())


def test_a_host_answers_pings_is_well_and_lists_what_it_holds(hosted: Hosted) -> None:
    async def scene() -> None:
        assert await hosted.running.is_healthy()
        assert await hosted.running.inference.answers_ping(timeout_s=5)
        look = HostLook(reachable=True, answered=0, busy=False)
        assert hosted.running.judge(look).answers
        workers = await workers_of(hosted)
        assert [worker.ready and worker.alive for worker in workers] == [True, True]
        assert {worker.id for worker in workers} <= await hosted.running.worker_ids()
        assert (await hosted.running.take_census()).look_at(MODEL, "99") is None

    hosted.run(scene())


def test_two_versions_are_asked_apart_and_one_is_removed_while_it_answers(hosted: Hosted) -> None:
    async def scene() -> None:
        await hosted.register(OTHER)
        one, other = batcher(hosted), batcher(hosted, OTHER, workers=1, timeout_s=4)
        answers = await asyncio.gather(asked(one), asked(other))
        assert [answer.samples[0].text for answer in answers] == ["x by 1 from None", "x by 2 from None"]
        await hosted.running.prefer(MODEL, ANSWERING)
        (worker,) = await workers_of(hosted, OTHER)
        lost = asyncio.create_task(refused(other, artist="sleep 20"))
        await asyncio.sleep(0.5)
        await hosted.running.unregister(MODEL, OTHER)
        # TorchServe often drops what it has without a word, which the gateway's own limit ends.
        silent = {grpc.StatusCode.DEADLINE_EXCEEDED} if hosted.kind is WorkerHostKind.TORCHSERVE else set()
        assert (await asyncio.wait_for(lost, 10)).code in {grpc.StatusCode.UNAVAILABLE, *silent}
        assert (await refused(other)).code is grpc.StatusCode.UNAVAILABLE
        await until(lambda: not psutil.pid_exists(worker.pid))
        await hosted.running.unregister(MODEL, OTHER)  # it is ignored
        assert (await asked(one)).samples[0].text == "x by 1 from None"
        with pytest.raises(WorkerHostError):
            await hosted.running.describe_worker(MODEL, OTHER)

    hosted.run(scene())


def test_a_worker_that_dies_fails_its_batch_alone_and_another_takes_its_place(hosted: Hosted) -> None:
    async def scene() -> None:
        before = {worker.pid for worker in await workers_of(hosted)}
        to = batcher(hosted)
        fault, answer = await asyncio.gather(refused(to, artist="die"), asked(to, artist="sleep 0.5"))
        assert (fault.code, fault.failure) == (grpc.StatusCode.UNAVAILABLE, Failure.WORKER_DIED)
        assert answer.samples[0].text == "x by 1 from None"
        assert (await asked(to)).samples[0].text == "x by 1 from None"  # the other one answers at once
        await until_ready(hosted, 2)
        assert len(before & {worker.pid for worker in await workers_of(hosted)}) == 1

    hosted.run(scene())


def test_an_idle_worker_that_is_killed_is_replaced_and_no_other_process_can_be(hosted: Hosted) -> None:
    async def scene() -> None:
        first = (await workers_of(hosted))[0]
        assert not hosted.running.kill_worker(os.getpid())
        assert hosted.running.kill_worker(first.pid)
        await until(lambda: not psutil.pid_exists(first.pid))
        await until_ready(hosted, 2)

    hosted.run(scene())


def test_a_worker_that_does_not_answer_in_time_is_ended_and_its_version_answers_again(hosted: Hosted) -> None:
    async def scene() -> None:
        await hosted.register(IMPATIENT)
        (hung,) = await workers_of(hosted, IMPATIENT)
        to = batcher(hosted, IMPATIENT, workers=1)
        started = time.monotonic()
        fault = await refused(to, artist="sleep 60")
        assert fault.code is grpc.StatusCode.UNAVAILABLE, fault
        assert 1 <= time.monotonic() - started < 20
        await until(lambda: not psutil.pid_exists(hung.pid))
        await until_ready(hosted, 1, IMPATIENT)
        assert (await asked(to)).samples[0].text == "x"
        await hosted.running.unregister(MODEL, IMPATIENT)

    hosted.run(scene())


def test_a_stopped_worker_is_seen_to_be_stopped(hosted: Hosted) -> None:
    async def scene() -> None:
        worker = (await workers_of(hosted))[0]
        os.kill(worker.pid, signal.SIGSTOP)
        try:
            await until(lambda: psutil.Process(worker.pid).status() == psutil.STATUS_STOPPED)
            assert [look.stopped for look in await workers_of(hosted)] == [True, False]
        finally:
            os.kill(worker.pid, signal.SIGCONT)

    hosted.run(scene())


def test_faults_of_a_handler_and_late_requests_are_told_apart(hosted: Hosted) -> None:
    async def scene() -> None:
        to = batcher(hosted)
        raised = await refused(to, artist="raise")
        assert (raised.code, raised.failure) == (grpc.StatusCode.INTERNAL, Failure.OTHER)
        assert "workers.log" in raised.message
        garbage = await refused(to, artist="garbage")
        assert garbage.code is grpc.StatusCode.INTERNAL
        late = await hosted.running.inference.predict(
            {"data": ask(title="x").to_json(), "start_by": b"1.000"}, model=MODEL, version=ANSWERING, timeout_s=10
        )
        assert b"deadline" in late.lower()
        with pytest.raises(InferenceError) as slow:
            await hosted.running.inference.generate(
                ask(artist="sleep 1.5"), model=MODEL, version=ANSWERING, timeout_s=0.5
            )
        assert slow.value.code is grpc.StatusCode.DEADLINE_EXCEEDED
        await asyncio.sleep(1.2)  # its worker goes on
        assert (await asked(to)).samples[0].text == "x by 1 from None"

    hosted.run(scene())
    assert "a fault that the handler did not catch" in (hosted.folder / "logs" / "workers.log").read_text()


def test_a_version_is_scaled_without_a_wait(hosted: Hosted) -> None:
    async def scene() -> None:
        kept = (await workers_of(hosted))[0]
        await hosted.running.scale(MODEL, ANSWERING, 1)
        await until_ready(hosted, 1)
        assert (await workers_of(hosted))[0].pid == kept.pid
        await hosted.running.scale(MODEL, ANSWERING, 2)
        await until_ready(hosted, 2)
        with pytest.raises(WorkerHostError):
            await hosted.running.scale(MODEL, "99", 2)

    hosted.run(scene())


def test_a_version_that_is_registered_again_has_new_workers(hosted: Hosted) -> None:
    async def scene() -> None:
        before = {worker.pid for worker in await workers_of(hosted)}
        await hosted.register(ANSWERING, workers=2)
        after = {worker.pid for worker in await workers_of(hosted)}
        assert len(after) == 2
        assert before.isdisjoint(after)
        assert (await asked(batcher(hosted))).samples[0].text == "x by 1 from None"

    hosted.run(scene())


def test_an_archive_that_cannot_be_loaded_is_refused_with_a_reason_and_others_stay(hosted: Hosted) -> None:
    async def scene() -> None:
        with pytest.raises(WorkerHostError, match=r"could not load .*workers\.log"):
            await hosted.register(BROKEN)
        await hosted.running.unregister(MODEL, BROKEN)
        assert await workers_of(hosted, BROKEN) == ()
        for damage in (b"not a zip", _zip_without_manifest(hosted.folder)):
            (hosted.folder / "store" / f"{MODEL}_5.mar").write_bytes(damage)
            with pytest.raises(WorkerHostError, match=f"could not load {MODEL}_5.mar"):
                await hosted.register("5")
        with pytest.raises(WorkerHostError, match=f"could not load {MODEL}_6.mar"):
            await hosted.register("6")  # there is no such file
        assert (await asked(batcher(hosted))).samples[0].text == "x by 1 from None"

    hosted.run(scene())
    assert "these weights cannot be loaded" in (hosted.folder / "logs" / "workers.log").read_text()


def test_workers_know_no_secret_of_the_service(hosted: Hosted) -> None:
    async def scene() -> None:
        for worker in await workers_of(hosted):
            environment = psutil.Process(worker.pid).environ()
            assert PLANTED.keys().isdisjoint(environment)
            assert environment["OMP_WAIT_POLICY"] == "PASSIVE"

    assert os.environ.items() >= PLANTED.items()
    hosted.run(scene())


def _zip_without_manifest(folder: Path) -> bytes:
    path = folder / "empty.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("handler.py", "")
    return path.read_bytes()
