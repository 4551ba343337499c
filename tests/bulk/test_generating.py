from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psutil
import pyarrow.parquet as pq
import pytest

from bulk.errors import BulkError, FolderError, PartError, SongsError
from bulk.folder import MANIFEST, part_name
from bulk.generating import Run, generate_many
from bulk.models import Model
from foundation.parallel.port import Engine, TaskLostError
from foundation.parallel.processes import Processes
from tests.bulk.conftest import Here
from tests.handlers.tiny_bundles import GENRES

OPTIONS: dict[str, Any] = {"num_samples": 2, "best_of": 2, "max_tokens": 10}


def write_songs(path: Path, number: int) -> Path:
    rows = ({"id": f"s{row}", "genres": [GENRES[row % 4]], "title": f"T{row}"} for row in range(number))
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def hashes(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}


@pytest.fixture
def songs(tmp_path: Path) -> Path:
    return write_songs(tmp_path / "songs.jsonl", 25)


def run(songs: Path, out: Path, model: Model, engine: Engine, **changed: Any) -> Run:
    return generate_many(songs, out, engine=engine, **{"model": model, "options": OPTIONS, "part_songs": 10, **changed})


def test_every_song_has_its_row_and_the_manifest_its_sums(
    songs: Path, tmp_path: Path, model: Model, here: Here
) -> None:
    told: list[tuple[int, int]] = []
    done = run(songs, tmp_path / "out", model, here, progress=lambda *counts: told.append(counts))
    rows = [row for number in range(3) for row in pq.read_table(tmp_path / "out" / part_name(number)).to_pylist()]
    assert [row["id"] for row in rows] == [f"s{number}" for number in range(25)]
    assert [row["row"] for row in rows] == list(range(1, 26))
    assert (done.songs, done.errors, done.samples, done.parts, done.songs_before) == (25, 0, 50, 3, 0)
    assert told == [(10, 0), (20, 0), (25, 0)]
    manifest = json.loads((tmp_path / "out" / MANIFEST).read_text(encoding="utf-8"))
    assert manifest["complete"]
    assert (manifest["songs"], manifest["errors"], manifest["samples"]) == (25, 0, 50)
    assert {each["file"]: each["sha256"] for each in manifest["parts"]} == {
        name: digest for name, digest in hashes(tmp_path / "out").items() if name != MANIFEST
    }
    assert manifest["model"] == {"name": "lcgan", "version": "1", "sha256": model.sha256}
    assert manifest["settings"]["temperature"] == 0.7, "also those that nobody gave"


def test_a_run_is_resumed_and_a_damaged_part_is_made_again(
    songs: Path, tmp_path: Path, model: Model, here: Here
) -> None:
    out = tmp_path / "out"
    run(songs, out, model, here)
    whole = hashes(out)
    (out / part_name(1)).write_bytes(b"PAR1")
    (out / part_name(2)).unlink()
    again = Here()
    done = run(songs, out, model, again)
    assert again.numbers == [1, 2]
    assert (done.songs, done.songs_before) == (25, 10)
    assert hashes(out) == whole
    nothing = run(songs, out, model, Here())
    assert (nothing.songs_before, nothing.songs_per_second, nothing.core_hours_per_million) == (25, 0, 0)


def test_other_options_songs_or_parts_in_the_same_folder_are_refused(
    songs: Path, tmp_path: Path, model: Model, here: Here
) -> None:
    out = tmp_path / "out"
    run(songs, out, model, here)
    with pytest.raises(FolderError, match=r"settings\.temperature 0\.7, and this one has 0\.5"):
        run(songs, out, model, here, options={**OPTIONS, "temperature": 0.5})
    with pytest.raises(FolderError, match=r"settings\.part_songs 10, and this one has 5"):
        run(songs, out, model, here, part_songs=5)
    write_songs(songs, 26)
    with pytest.raises(FolderError, match=r"input\.bytes \d+, and this one has"):
        run(songs, out, model, here)


def test_a_file_without_songs_and_a_wrong_option_are_told(tmp_path: Path, model: Model, here: Here) -> None:
    empty = write_songs(tmp_path / "none.jsonl", 0)
    with pytest.raises(SongsError, match="holds no songs"):
        run(empty, tmp_path / "out", model, here)
    with pytest.raises(BulkError, match="best_of"):
        run(empty, tmp_path / "out", model, here, options={"best_of": 99})
    with pytest.raises(SongsError, match="cannot be read"):
        run(tmp_path / "absent.jsonl", tmp_path / "out", model, here)


class Losing(Here):
    """Engine that loses every process with part 1."""

    def run(self, prepare: Any, tasks: Any) -> Any:
        for number, payload in tasks:
            if number == 1:
                raise TaskLostError(1, 3, "signal 9")
            yield number, prepare()(payload)


def test_a_part_that_ends_its_process_again_and_again_is_named_with_its_songs(
    songs: Path, tmp_path: Path, model: Model
) -> None:
    with pytest.raises(PartError, match=r"part 1 \(songs 11 to 20\) ended its process 3 times \(signal 9\)"):
        run(songs, tmp_path / "out", model, Losing())
    assert (tmp_path / "out" / part_name(0)).is_file()


@pytest.mark.slow
def test_two_processes_write_the_bytes_of_one_also_when_one_is_killed(
    songs: Path, tmp_path: Path, model: Model, here: Here
) -> None:
    run(songs, tmp_path / "one", model, here, part_songs=2)
    killed: list[int] = []

    def kill(_done: int, _errors: int) -> None:
        if not killed:
            victim = next(child for child in psutil.Process().children() if "spawn_main" in " ".join(child.cmdline()))
            killed.append(victim.pid)
            victim.kill()

    done = run(songs, tmp_path / "two", model, Processes(2), part_songs=2, progress=kill)
    assert killed
    assert (done.songs, done.parts) == (25, 13)
    assert hashes(tmp_path / "two") == hashes(tmp_path / "one")


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "deephypebot", "generate-many", *arguments]


@pytest.mark.slow
def test_a_killed_command_leaves_no_process_and_is_resumed_to_the_same_bytes(
    tmp_path: Path, bundle_folder: Path, model: Model, here: Here
) -> None:
    songs = write_songs(tmp_path / "songs.jsonl", 400)
    options: Sequence[str] = ["-n", "2", "--best-of", "2", "--max-tokens", "10", "--part-songs", "4"]
    out = tmp_path / "out"
    arguments = command(str(songs), "--out", str(out), "--model", str(bundle_folder), "--workers", "1", *options)
    process = subprocess.Popen(arguments, stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while not (out / part_name(2)).exists():
        assert process.poll() is None, "it ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.005)
    children = psutil.Process(process.pid).children()
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    _, alive = psutil.wait_procs(children, timeout=30)
    assert alive == [], "processes outlive the command"
    before = {path.name: path.stat().st_mtime_ns for path in out.glob("part-*")}
    assert not json.loads((out / MANIFEST).read_text(encoding="utf-8"))["complete"]

    done = run(songs, out, model, here, part_songs=4)
    assert done.songs == 400
    assert 3 <= done.songs_before / 4 == len(before) < 100
    assert {name: (out / name).stat().st_mtime_ns for name in before} == before
    uninterrupted = tmp_path / "uninterrupted"
    run(songs, uninterrupted, model, Here(), part_songs=4)
    assert hashes(out) == hashes(uninterrupted)
