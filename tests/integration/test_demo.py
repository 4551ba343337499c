"""The whole path, by the command that a new user types first."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from tests.integration.conftest import DemoRun
from tests.integration.support import Place, command, environment, run

pytestmark = [pytest.mark.integration, pytest.mark.timeout(1200)]


def queue(place: Place) -> list[dict[str, Any]]:
    lines = run("queue", "list", "--json", "--limit", "1000", "--workspace", str(place.workspace)).splitlines()
    return [json.loads(line) for line in lines]


def test_the_demo_ends_with_archives_a_queue_a_load_test_and_what_to_type_next(demo_run: DemoRun) -> None:
    archives = sorted(path.name for path in demo_run.place.model_store.glob("*.mar"))
    assert archives == ["cvae_1.mar", "lcgan_1.mar"]
    next_version = f"deephypebot models promote lcgan 2 --workspace {demo_run.place.workspace}\n"
    for words in ("Corpus funnel", "Queue", "p95 ms", "p99 ms", "samples/s", "forward PPL", next_version):
        assert words in demo_run.output
    # Output that is not a terminal's: what is under way is told in lines as it goes.
    assert re.search(r"^ +\d+ s  cvae +\d+%  epoch 1, ", demo_run.output, re.MULTILINE)
    assert (demo_run.place.workspace / "loadtest" / "report.html").stat().st_size > 0


def test_the_queue_holds_five_candidates_for_each_song_of_the_feed(demo_run: DemoRun) -> None:
    rows = queue(demo_run.place)
    songs = {(row["tweet_id"], row["title"]) for row in rows}
    assert len(songs) >= 20
    assert len(rows) == 5 * len(songs)
    assert all(row["text"].strip() for row in rows)
    assert {row["model"] for row in rows} == {"lcgan"}
    picture = (demo_run.place.workspace / "queue.svg").read_text(encoding="utf-8").replace("&#160;", " ")
    assert f"Queue: 20 of {len(rows)} candidates" in picture


def test_no_request_of_the_load_test_failed(demo_run: DemoRun) -> None:
    stats = (demo_run.place.workspace / "loadtest" / "locust_stats.csv").read_text().splitlines()
    header, total = stats[0].split(","), next(line for line in stats if "Aggregated" in line).split(",")
    figures = dict(zip(header, total, strict=True))
    assert int(figures["Request Count"]) > 0
    assert int(figures["Failure Count"]) == 0


def test_the_demo_leaves_no_process_and_no_half_written_file(demo_run: DemoRun) -> None:
    assert demo_run.place.processes() == []
    assert demo_run.place.half_written() == []


def test_a_second_demo_reuses_corpus_stages_and_versions_and_queues_nothing_twice(demo_run: DemoRun) -> None:
    before = queue(demo_run.place)
    started = time.monotonic()
    output = run(*demo_run.place.demo_arguments(), timeout=300)
    assert output.count("reused") == 5
    assert time.monotonic() - started < max(90, demo_run.seconds)
    assert sorted(path.name for path in demo_run.place.model_store.glob("*.mar")) == ["cvae_1.mar", "lcgan_1.mar"]
    assert queue(demo_run.place) == before


# A build of the corpus and a server that are interrupted have tests of their own, at more moments:
# tests/training/corpus/test_resuming.py and tests/serving/test_serve_process.py.
@pytest.mark.parametrize("moment", ["Train, register and pack", "Load test"])
def test_ctrl_c_leaves_no_process_and_no_half_written_file(moment: str, demo_run: DemoRun, tmp_path: Path) -> None:
    # The early moment needs an empty place, the late one comes soon where everything is trained.
    place = Place(root=tmp_path) if moment == "Train, register and pack" else demo_run.place
    if place.root == tmp_path:
        place.write_posts(300)
    child = subprocess.Popen(
        command(*place.demo_arguments()),
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        # A group of its own, as a terminal's foreground job has: Ctrl-C reaches all of it.
        start_new_session=True,
    )
    assert child.stdout is not None
    with child.stdout:
        seen = any(moment in line for line in child.stdout)
        assert seen
        time.sleep(1.5)
        subprocess.run(["kill", "-INT", "--", f"-{child.pid}"], check=True)
        child.stdout.read()
    assert child.wait(timeout=60) not in {0, -signal.SIGKILL}
    assert place.processes() == []
    assert place.half_written() == []


def test_a_posts_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    arguments = ["demo", "--posts", str(tmp_path / "nowhere.jsonl"), "--workspace", str(tmp_path / "w")]
    done = subprocess.run(command(*arguments), env=environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "nowhere.jsonl" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "w").exists()
