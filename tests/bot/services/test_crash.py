"""A bot that is killed at any moment loses no source post and writes no candidate twice."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from bot.adapters.sqlite.store import SqliteStore
from bot.domain.source_posts import SourcePostStatus

KILLED_BOT = Path(__file__).parents[1] / "helpers" / "killed_bot.py"


@pytest.mark.slow
def test_killed_at_every_statement_and_call_every_source_post_is_handled_once(
    feed_path: Path, catalog_path: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "databases"
    folder.mkdir()
    command = [sys.executable, str(KILLED_BOT), str(feed_path), str(catalog_path), str(folder)]
    printed = subprocess.run(command, check=True, capture_output=True, text=True, timeout=240).stdout
    runs: list[dict[str, Any]] = [json.loads(line) for line in printed.splitlines()]
    reference = runs[-1]["after"]
    assert [run["killed"] for run in runs] == [True] * (len(runs) - 1) + [False]
    assert dict(reference["tweets"]) == {"101": "done", "102": "no song", "103": "done", "104": "done"}
    assert len(reference["candidates"]) == 2 * 5
    # The moments cover all stages: nothing read, source posts read, some of them done.
    stages = {(len(run["before"]["tweets"]), len(run["before"]["candidates"])) for run in runs}
    assert {(0, 0), (4, 0), (4, 2)} <= stages
    assert [run["step"] for run in runs if run["after"] != reference] == []


@pytest.mark.slow
def test_killed_while_the_server_answers_it_goes_on_with_the_same_requests(
    gateway: Any, feed_path: Path, catalog_path: Path, database: Path
) -> None:
    gateway.fault = lambda _request, _context: gateway.released.wait(20)
    program = "from bot.entrypoints.cli import app_bot; app_bot()"
    command = [sys.executable, "-c", program, "once", "--feed", str(feed_path), "--catalog", str(catalog_path)]
    command += ["--workspace", str(database.parent), "--target", gateway.target]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as killed:
        deadline = time.monotonic() + 30
        while len(gateway.requests) < 3 and time.monotonic() < deadline:
            time.sleep(0.02)
        os.kill(killed.pid, signal.SIGKILL)
    first = {(request.title, request.seed) for request in gateway.requests}
    assert len(first) == 3
    with SqliteStore(database) as store:
        assert store.count_pending() >= 3
        assert list(store.rows()) == []
    gateway.fault = None
    gateway.released.set()
    subprocess.run(command, check=True, capture_output=True, timeout=60)
    with SqliteStore(database) as store:
        rows = list(store.rows())
        assert store.state().source_posts[SourcePostStatus.DONE] == 3
    assert len({row.candidate.id for row in rows}) == len(rows) == 5 * 5
    assert first <= {(row.candidate.report.song.title, row.candidate.report.seed) for row in rows}
