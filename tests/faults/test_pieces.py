"""Pieces of the fault suite: they must see what is wrong, or its tables prove nothing."""

from __future__ import annotations

import json
import math
import os
import random
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from handlers.contract import CommentaryResponse, ModelIdentity, Sample, Timings
from tests.faults.inspecting import Household, Part, alive, left_behind, parts_of
from tests.faults.load import ONCE, Call, Load, Look, counts, health_periods, longest_gap_s, settled_s
from tests.faults.reporting import AREAS, ELSEWHERE, Row, health_text, page, read_rows
from tests.faults.trend import trend

ROOT = Path(__file__).parents[2]
MACHINE = {"cpu": "a processor", "cores": 2, "memory_gib": 24.0}


def call(ended_s: float, code: str = "OK", **values: Any) -> Call:
    return Call(client="one attempt", began_s=ended_s - 0.01, ended_s=ended_s, code=code, **values)


def answer(version: str, *texts: str) -> CommentaryResponse:
    samples = tuple(
        Sample(text=text, token_count=1, log_prob=-1.0, topics=(1.0,), seed=number) for number, text in enumerate(texts)
    )
    model = ModelIdentity(name="lodger", version=version)
    return CommentaryResponse(
        samples=samples, model=model, genres_used=(), genres_unknown=(), timings=Timings(decode_ms=1.0)
    )


def test_an_answer_is_wrong_unless_it_is_what_its_version_writes_for_the_seed() -> None:
    load = Load(tables={"1": {7: ("a", "b")}, "2": {7: ("c", "d")}})
    assert load.check(answer("1", "a", "b"), 7) == ""
    assert load.check(answer("2", "c", "d"), 7) == ""
    assert load.check(answer("1", "c", "d"), 7) == "('c', 'd')"
    assert load.check(answer("1", "a"), 7) == "('a',)"
    assert "nobody registered" in load.check(answer("3", "a", "b"), 7)


def test_the_longest_gap_counts_answers_alone_and_the_time_before_the_first_and_after_the_last() -> None:
    calls = [call(1.0), call(1.5), call(1.6, "UNAVAILABLE"), call(4.0), call(4.2)]
    assert longest_gap_s(calls, since_s=1.0, until_s=4.5) == pytest.approx(2.5)
    assert longest_gap_s(calls, since_s=0.0, until_s=9.0) == pytest.approx(4.8)
    assert longest_gap_s([], since_s=1.0, until_s=3.0) == 2.0


def test_all_is_normal_after_the_last_failure_and_the_last_missing_worker() -> None:
    calls = [call(1.0), call(2.0, "UNAVAILABLE"), call(3.0)]
    whole = Look(at_s=0.5, serving=True, workers_ready=2, workers_wanted=2)
    lame = Look(at_s=5.0, serving=True, workers_ready=1, workers_wanted=2)
    assert settled_s(calls, [whole], since_s=1.0) == 1.0
    assert settled_s(calls, [whole, lame], since_s=1.0) == pytest.approx(4.2)
    assert settled_s(calls, [], since_s=2.5) == 0.0


def test_health_is_told_by_the_periods_in_which_it_did_not_serve() -> None:
    looks = [Look(at_s=at_s, serving=serving) for at_s, serving in ((1, True), (2, False), (3, False), (4, True))]
    assert health_periods(looks, since_s=1.0) == [(1.0, 3.0)]
    assert health_periods([*looks, Look(at_s=6, serving=False), Look(at_s=7, serving=False)], since_s=1.0) == [
        (1.0, 3.0),
        (5.0, 6.0),
    ]
    assert health_text([(1.0, 3.0)]) == "not from 1.0 to 3.0 s"
    assert health_text([]) == "SERVING"


def test_a_load_is_quiet_when_every_kind_of_client_is_answered_and_no_worker_is_missing() -> None:
    load = Load(tables={})
    load._began -= 10
    whole = Look(at_s=9.9, serving=True, workers_ready=2, workers_wanted=2)
    load.calls.append(call(9.8))
    assert not load.is_quiet([ONCE], for_s=1), "nobody has looked at health"
    load.looks.append(whole)
    assert load.is_quiet([ONCE], for_s=1)
    load.looks.append(Look(at_s=9.95, serving=True, workers_ready=1, workers_wanted=2))
    assert not load.is_quiet([ONCE], for_s=1)
    assert load.is_quiet([ONCE], for_s=1, complete=False)
    load.calls.append(call(9.9, "UNAVAILABLE"))
    assert not load.is_quiet([ONCE], for_s=1, complete=False)


def test_calls_are_counted_by_client_and_code_and_kept_as_lines(tmp_path: Path) -> None:
    load = Load(tables={}, calls=[call(1.0), call(1.1), call(1.2, "UNAVAILABLE")])
    assert counts(load.calls) == {"one attempt": {"OK": 2, "UNAVAILABLE": 1}}
    load.write(tmp_path / "new" / "calls.jsonl")
    lines = (tmp_path / "new" / "calls.jsonl").read_text().splitlines()
    assert [json.loads(line)["code"] for line in lines] == ["OK", "OK", "UNAVAILABLE"]


def part(role: str, *, files: int = 10) -> Part:
    return Part(pid=1, role=role, rss_mb=100.0, files=files, sockets=5, threads=3)


def test_what_is_left_behind_is_named() -> None:
    before = Household(parts=(part("gateway"), part("worker")), scratch=("deephypebot-*",))
    assert left_behind(before, before) == []
    after = Household(parts=(part("gateway", files=60), part("worker"), part("worker")), scratch=("deephypebot-*",) * 3)
    assert left_behind(before, after) == [
        "+1 worker process",
        "2 more deephypebot-* on the disk",
        "65 descriptors",
    ]
    assert left_behind(after, before) == ["-1 worker process"]
    assert left_behind(before, after, versions_change=True) == ["2 more deephypebot-* on the disk"]


def test_processes_are_counted_with_their_descriptors_until_they_are_gone() -> None:
    program = "import socket, sys; s = socket.socket(); print(flush=True); sys.stdin.read()"
    with subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout
        child.stdout.readline()
        (found,) = parts_of(child.pid)
        assert (found.role, found.sockets, found.threads) == ("gateway", 1, 1)
        assert found.files == 3
        assert found.rss_mb > 1
        assert alive([child.pid]) == [child.pid]
        os.kill(child.pid, signal.SIGKILL)
        child.wait()
    assert alive([child.pid]) == []
    assert parts_of(child.pid) == []


def test_a_trend_is_found_in_noise_and_not_in_noise_alone() -> None:
    rng = random.Random(5)
    noise = [100 + rng.gauss(0, 1) for _ in range(240)]
    flat = trend(noise)
    assert flat.low < 0 < flat.high
    grown = trend([value + 6 * place / 240 for place, value in enumerate(noise)])
    assert grown.low > 0
    assert grown.low < 6 < grown.high
    assert math.isclose(trend([float(place) for place in range(24)]).growth, 24.0)
    with pytest.raises(ValueError, match="24 readings are needed, got 3"):
        trend([1.0, 2.0, 3.0])


ROW = Row(
    name="processes-one",
    area="processes",
    fault="one of two workers killed",
    promise="nobody notices",
    calls={"one attempt": {"OK": 1200, "UNAVAILABLE": 2}, "with retries": {"OK": 900}},
    gap_s=0.31,
    health="SERVING",
    normal_s=1.25,
    notes=["a | note"],
    verdict="kept",
)


def test_rows_survive_the_disk_and_stand_in_the_order_of_the_page(tmp_path: Path) -> None:
    later = Row(name="machine-two", area="machine", fault="x", promise="y", verdict="**missed**: z")
    for row in (later, ROW):
        row.write(tmp_path)
    assert read_rows(tmp_path) == [ROW, later]


def test_the_page_says_how_many_promises_are_kept_and_what_the_clients_saw() -> None:
    missed = Row(name="clients-x", area="clients", fault="x", promise="y", verdict="**missed**: too slow", wrong=0)
    text = page([ROW, missed], MACHINE, "2026-11-30")
    assert "**1 of 2 promises kept, and 0 wrong answers** among 2,100" in text
    assert "2 UNAVAILABLE" in text
    assert "a processor" in text
    assert "2026-11-30" in text
    row = next(line for line in text.splitlines() if line.startswith("| one of two workers killed"))
    assert "one attempt: 1,200 OK, 2 UNAVAILABLE; with retries: 900 OK<br>a \\| note" in row
    assert row.endswith("| 0.3 s | SERVING | 1.2 s | nothing | kept |")
    assert f"## {AREAS['soak']}" not in text


def test_the_page_of_a_part_names_the_sections_that_were_not_run() -> None:
    part = page([ROW], MACHINE, "2026-11-30")
    line = next(line for line in part.splitlines() if line.startswith("**Not run yet, and not in these numbers:**"))
    assert [title for title in AREAS.values() if title in line] == list(AREAS.values())[1:]
    whole = [Row(name=area, area=area, fault="x", promise="y", verdict="kept") for area in AREAS]
    assert "Not run yet" not in page(whole, MACHINE, "2026-11-30")


def test_promises_that_other_tests_show_name_tests_that_exist() -> None:
    files = [where for _, where in ELSEWHERE if not where.startswith("`")]
    assert files
    assert [name for name in files if not (ROOT / name).is_file()] == []
