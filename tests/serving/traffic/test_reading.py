from __future__ import annotations

import os
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serving.errors import ServingError
from serving.traffic.exposures import Recorder
from serving.traffic.reading import ExposureFiles
from serving.traffic.segments import ExposureSettings, Segments, segment_paths
from tests.serving.traffic.exposing import record

NOON = datetime(2026, 11, 29, 12, tzinfo=UTC)


class Clock:
    def __init__(self) -> None:
        self.time = NOON

    def __call__(self) -> datetime:
        return self.time


def host(folder: Path, name: str, clock: Clock) -> Recorder:
    return Recorder(Segments(ExposureSettings(folder=folder), host=name, now=clock), host=name, now=clock)


def test_the_files_of_several_hosts_merge_in_the_order_of_time_without_doubles(tmp_path: Path) -> None:
    clock = Clock()
    hosts = [host(tmp_path / name, name, clock) for name in ("one", "two", "three")]
    keys = []
    for _ in range(5):
        for each in hosts:
            clock.time += timedelta(microseconds=1)
            keys.append(record(each))
    shutil.copytree(tmp_path / "two", tmp_path / "backup")
    files = ExposureFiles(folders=[tmp_path / name for name in ("three", "backup", "one", "two")])
    assert [row.id for row in files] == keys
    assert (files.doubles, files.torn, files.unreadable) == (5, 0, 0)
    assert [row.id for row in files] == keys, "it can be read again"
    assert files.doubles == 5


def test_the_rows_of_one_experiment_are_read_whatever_the_texts_of_others_say(tmp_path: Path) -> None:
    to = host(tmp_path, "one", Clock())
    record(to, title='"experiment":"winter"')
    winter = record(to, experiment="winter")
    record(to, experiment="winter-2")
    assert [row.id for row in ExposureFiles(folders=[tmp_path], experiment="winter")] == [winter]


def test_segments_from_before_a_time_are_not_read(tmp_path: Path) -> None:
    old, new = (record(host(tmp_path, name, Clock())) for name in ("old", "new"))
    (first,) = [path for path in segment_paths(tmp_path) if b"old" in path.read_bytes()]
    os.utime(first, (NOON.timestamp() - 60, NOON.timestamp() - 60))
    assert {row.id for row in ExposureFiles(folders=[tmp_path])} == {old, new}
    assert [row.id for row in ExposureFiles(folders=[tmp_path], since=NOON)] == [new]
    (written_s,) = [path.stat().st_mtime for path in segment_paths(tmp_path) if path != first]
    assert not list(ExposureFiles(folders=[tmp_path], since=datetime.fromtimestamp(written_s + 1, UTC)))


@settings(max_examples=50, deadline=None)
@given(steps=st.lists(st.tuples(st.integers(0, 2), st.integers(-3, 5), st.booleans()), max_size=40))
def test_order_holds_whatever_the_clocks_do_and_whenever_segments_are_begun(
    steps: list[tuple[int, int, bool]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("hosts")
    clocks = [Clock() for _ in range(3)]
    writers = [Segments(ExposureSettings(folder=folder), host=str(i), now=clocks[i]) for i in range(3)]
    hosts = [Recorder(writers[i], host=str(i), now=clocks[i]) for i in range(3)]
    expected = []
    for number, step_s, begins in steps:
        clocks[number].time += timedelta(seconds=step_s)
        if begins:
            writers[number].close()
        expected.append((clocks[number].time, record(hosts[number])))
    for each in writers:
        each.close()
    assert [(row.time, row.id) for row in ExposureFiles(folders=[folder])] == sorted(expected)


def test_a_torn_last_line_is_left_out_and_counted_and_so_is_damage_within(tmp_path: Path) -> None:
    to = host(tmp_path, "one", Clock())
    keys = [record(to) for _ in range(4)]
    (path,) = segment_paths(tmp_path)
    whole = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(whole[0] + b"\0" * 700 + b"\n" + whole[1] + b'{"time":"x"}\n' + whole[2] + whole[3][:-30])
    files = ExposureFiles(folders=[tmp_path])
    assert [row.id for row in files] == keys[:3]
    assert (files.doubles, files.torn, files.unreadable) == (0, 1, 2)


def test_a_folder_that_is_not_there_is_named_and_an_empty_one_is_not_an_error(tmp_path: Path) -> None:
    assert list(ExposureFiles(folders=[tmp_path])) == []
    with pytest.raises(ServingError, match=r"no exposures in .*absent"):
        list(ExposureFiles(folders=[tmp_path / "absent"]))


def test_a_segment_that_retention_removes_meanwhile_is_left_out(tmp_path: Path) -> None:
    clock = Clock()
    early, late = host(tmp_path, "one", clock), host(tmp_path, "two", clock)
    first = record(early)
    clock.time += timedelta(hours=1)
    record(late)
    rows = iter(ExposureFiles(folders=[tmp_path]))
    assert next(rows).id == first
    segment_paths(tmp_path)[1].unlink()
    assert list(rows) == []
