"""Benchmarks of a year of state and of draining: their figures, and their last line of JSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from benchmarks.bot.cli import app_bench
from benchmarks.bot.state import fill
from bot.adapters.sqlite.store import SqliteStore
from bot.domain.candidates import CandidateStatus
from bot.domain.errors import NoServiceError
from bot.domain.source_posts import SourcePostStatus


def figures(*arguments: str) -> dict[str, Any]:
    result = CliRunner().invoke(app_bench, list(arguments), catch_exceptions=False)
    document: dict[str, Any] = json.loads(result.stdout.splitlines()[-1])
    return document


def test_the_filled_database_is_one_that_a_bot_can_go_on_with(database: Path) -> None:
    database.parent.mkdir()
    fill(database, 3000)
    with SqliteStore(database) as store:
        state = store.state()
        rows = list(store.rows(status=CandidateStatus.ACCEPTED))
        assert store._connection.execute("PRAGMA foreign_key_check").fetchall() == []
        plain = store._connection.execute("SELECT status, COUNT(*) FROM tweet GROUP BY status").fetchall()
    assert {status: count for status, count in state.source_posts.items() if count} == dict(map(tuple, plain))
    assert state.source_posts[SourcePostStatus.DONE] == 1000
    assert sum(state.candidates.values()) == 5000
    assert len(rows) == state.candidates[CandidateStatus.ACCEPTED] > 0


@pytest.mark.slow
def test_every_command_is_timed(tmp_path: Path) -> None:
    found = figures("state", "--tweets", "1000", "--folder", str(tmp_path))
    assert found["name"] == "bot state"
    times = found["figures"]["milliseconds"]
    assert {"status", "queue list", "queue accept", "pass: what may be posted", "studio: posts"} <= times.keys()
    assert found["figures"]["slowest_ms"] >= max(times.values()) > 0
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_a_drain_is_compared_with_the_same_requests_alone(gateway: Any) -> None:
    found = figures("drain", "--quick", "--target", gateway.target)["figures"]
    assert (found["tweets"], found["candidates"]) == (100, 500)
    titles = [request.title for request in gateway.requests]
    assert len(titles) == 208
    assert set(titles) == {f"Slow Lamp {number}" for number in range(100)}
    assert found["share_of_model_speed"] == pytest.approx(found["requests_s"] / found["drain_s"], abs=0.05)


def test_a_drain_without_a_gateway_says_so() -> None:
    with pytest.raises(NoServiceError, match="nothing answers at 127"):
        figures("drain", "--quick", "--target", "127.0.0.1:9")
