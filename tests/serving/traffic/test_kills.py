"""A gateway that is killed at any moment has a row for every answer that a client got.

`make kills` kills it some 240 times; here it is every seventh time, or as many as DEEPHYPEBOT_KILL_STRIDE says.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import signal
from dataclasses import dataclass, field
from pathlib import Path

import grpc
import pytest

from serving.traffic.reading import ExposureFiles
from serving.v1 import commentary_pb2, commentary_pb2_grpc
from tests.serving.loopback_gateway import until
from tests.serving.traffic.killed_gateway import MOMENTS, run

pytestmark = pytest.mark.slow

STRIDE = int(os.environ.get("DEEPHYPEBOT_KILL_STRIDE", "7"))
CLIENTS = 8
KILLS_FROM_OUTSIDE = 160
LAST_ROWS = range(1, 41)


@dataclass
class Seen:
    """What the clients of one gateway saw."""

    asked: set[str] = field(default_factory=set)
    answered: set[str] = field(default_factory=set)


async def ask_until_it_is_gone(target: str, seen: Seen, client: int) -> None:
    async with grpc.aio.insecure_channel(target) as channel:
        stub: commentary_pb2_grpc.CommentaryAsyncStub = commentary_pb2_grpc.CommentaryStub(channel)
        for number in range(1_000_000):
            name = f"{client}-{number}"
            seen.asked.add(name)
            try:
                answer = await stub.Generate(commentary_pb2.GenerateRequest(request_id=name), timeout=10)
            except grpc.aio.AioRpcError:
                return
            assert answer.model.version == "2"
            seen.answered.add(name)


async def watch_die(target: str, pid: int, delay_s: float | None) -> Seen:
    """Ask as several clients until the gateway is dead; kill it after a while, unless it does so by itself."""
    seen = Seen()
    clients = [asyncio.create_task(ask_until_it_is_gone(target, seen, client)) for client in range(CLIENTS)]
    if delay_s is not None:
        await until(lambda: seen.answered)
        await asyncio.sleep(delay_s)
        os.kill(pid, signal.SIGKILL)
    await asyncio.gather(*clients)
    return seen


def kill_one(folder: Path, *, delay_s: float | None = None, moment: str = "", row: int = 0) -> Seen:
    folder.mkdir()
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.serving.traffic.killed_gateway"])
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=run, args=(folder, sender, moment, row), daemon=True)
    process.start()
    try:
        assert receiver.poll(60), "the gateway did not start"
        assert process.pid is not None
        return asyncio.run(watch_die(receiver.recv(), process.pid, delay_s))
    finally:
        process.kill()
        process.join()
        assert process.exitcode == -signal.SIGKILL


def check(folder: Path, seen: Seen, *, may_tear: bool = True) -> int:
    files = ExposureFiles(folders=[folder])
    rows = [row.request_id for row in files]
    assert len(set(rows)) == len(rows)
    unanswered = set(rows) - seen.answered
    assert seen.answered <= set(rows), "an answer without a row"
    assert unanswered <= seen.asked
    assert len(unanswered) <= CLIENTS
    # The kernel itself may end a write that a signal interrupts; that request was not answered.
    assert (files.doubles, files.unreadable) == (0, 0)
    assert files.torn <= may_tear
    return len(rows)


@pytest.mark.timeout(1200)
def test_killed_from_outside_every_answer_has_one_row_and_all_files_merge(tmp_path: Path) -> None:
    kills = range(0, KILLS_FROM_OUTSIDE, STRIDE)
    rows = 0
    for kill in kills:
        folder = tmp_path / str(kill)
        rows += check(folder, kill_one(folder, delay_s=0.0007 * kill))
    merged = ExposureFiles(folders=[tmp_path / str(kill) for kill in kills])
    assert sum(1 for _ in merged) == rows
    assert rows > len(kills)


@pytest.mark.timeout(1200)
@pytest.mark.parametrize("moment", MOMENTS)
def test_killed_beside_a_row_every_answer_has_one(moment: str, tmp_path: Path) -> None:
    for row in LAST_ROWS[::STRIDE]:
        folder = tmp_path / str(row)
        rows = check(folder, kill_one(folder, moment=moment, row=row), may_tear=False)
        assert rows == row - (moment == MOMENTS[0])
