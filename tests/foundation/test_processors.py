"""Processor counts under control groups, on folders that stand for `/proc` and `/sys` of other machines."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from foundation.processors import num_processors

V2_MOUNT = "30 23 0:26 {shown} /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate"
V1_MOUNT = "33 23 0:29 {shown} /sys/fs/cgroup/cpu,cpuacct rw,nosuid shared:10 - cgroup cgroup rw,cpu,cpuacct"
OTHER_MOUNTS = (
    "23 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw",
    "34 23 0:30 / /sys/fs/cgroup/cpuset rw - cgroup cgroup rw,cpuset",
)
V1_TOP = "sys/fs/cgroup/cpu,cpuacct"
V2_TOP = "sys/fs/cgroup"


@pytest.fixture(autouse=True)
def sixteen_processors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(16)), raising=False)


def machine(root: Path, *, own: str, mounts: tuple[str, ...], files: Mapping[str, str]) -> Path:
    """A root folder with the process's groups, its mounts, and the files of the control groups."""
    contents = {"proc/self/cgroup": own, "proc/self/mountinfo": "\n".join((*OTHER_MOUNTS, *mounts)), **files}
    for name, content in contents.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8", errors="surrogateescape")
    return root


def v2(root: Path, path: str, limits: Mapping[str, str], *, shown: str = "/") -> int:
    """Processors of a process in a group of version 2; `limits` maps a folder below the mount to its cpu.max."""
    files = {f"{V2_TOP}/{folder}/cpu.max": content for folder, content in limits.items()}
    return num_processors(machine(root, own=f"0::{path}\n", mounts=(V2_MOUNT.format(shown=shown),), files=files))


def v1(root: Path, path: str, limits: Mapping[str, tuple[str, str]], *, shown: str = "/") -> int:
    """Processors of a process in a group of version 1; `limits` maps a folder to its quota and period."""
    files = {}
    for folder, (quota, period) in limits.items():
        files[f"{V1_TOP}/{folder}/cpu.cfs_quota_us"] = quota
        files[f"{V1_TOP}/{folder}/cpu.cfs_period_us"] = period
    own = f"9:cpuset:/elsewhere\n4:cpu,cpuacct:{path}\n1:name=systemd:/init.scope\n0::/unified\n"
    return num_processors(machine(root, own=own, mounts=(V1_MOUNT.format(shown=shown),), files=files))


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("100000 100000\n", 1),
        ("50000 100000\n", 1),
        ("150000 100000\n", 2),
        ("200000 50000\n", 4),
        ("1600000 100000\n", 16),
        ("9900000 100000\n", 16),
        ("max 100000\n", 16),
        ("", 16),
        ("1 0\n", 16),
        ("plenty\n", 16),
    ],
)
def test_a_containers_limit_counts_as_far_as_there_are_processors(content: str, expected: int, tmp_path: Path) -> None:
    assert v2(tmp_path, "/", {"": content}) == expected


@pytest.mark.parametrize(
    ("quota", "period", "expected"),
    [("200000\n", "100000\n", 2), ("-1\n", "100000\n", 16), ("200000\n", "0\n", 16), ("", "", 16), ("x", "y", 16)],
)
def test_version_1_states_the_limit_in_two_files_and_minus_one_is_none(
    quota: str, period: str, expected: int, tmp_path: Path
) -> None:
    assert v1(tmp_path, "/", {"": (quota, period)}) == expected


@pytest.mark.parametrize(
    "limited", ["user.slice/user-7.slice/session-1.scope", "user.slice/user-7.slice", "user.slice", ""]
)
def test_a_limit_at_any_level_of_the_hierarchy_counts(limited: str, tmp_path: Path) -> None:
    path = "/user.slice/user-7.slice/session-1.scope"
    levels = ("user.slice/user-7.slice/session-1.scope", "user.slice/user-7.slice", "user.slice")
    unlimited = dict.fromkeys(levels, "max 100000\n")
    assert v2(tmp_path / "v2", path, {**unlimited, limited: "300000 100000\n"}) == 3
    assert v1(tmp_path / "v1", path, {limited: ("300000\n", "100000\n")}) == 3


def test_the_smallest_limit_of_all_levels_counts(tmp_path: Path) -> None:
    limits = {"a.slice": "800000 100000\n", "a.slice/b.service": "500000 100000\n"}
    assert v2(tmp_path, "/a.slice/b.service", limits) == 5
    assert v2(tmp_path, "/a.slice/b.service", {**limits, "a.slice": "200000 100000\n"}) == 2


def test_a_group_beside_the_process_does_not_limit_it(tmp_path: Path) -> None:
    assert v2(tmp_path, "/a.slice/b.service", {"a.slice/c.service": "100000 100000\n", "d": "100000 100000\n"}) == 16


def test_a_slice_whose_name_systemd_escapes_is_found(tmp_path: Path) -> None:
    slice_name = r"system-deep\x2dhype.slice"
    assert v2(tmp_path / "host", f"/{slice_name}/x.service", {slice_name: "200000 100000\n"}) == 2
    shown = "/" + slice_name.replace("\\", r"\134")
    assert v2(tmp_path / "container", f"/{slice_name}/x", {"x": "200000 100000\n"}, shown=shown) == 2


@pytest.mark.parametrize("hosts_path", ["/docker/4f0c", "/system.slice/docker-4f0c.scope"])
def test_a_container_without_a_namespace_of_its_own_finds_its_group_at_the_mounts_top(
    hosts_path: str, tmp_path: Path
) -> None:
    assert v1(tmp_path / "v1", hosts_path, {"": ("200000\n", "100000\n")}, shown=hosts_path) == 2
    assert v2(tmp_path / "v2", hosts_path, {"": "200000 100000\n"}, shown=hosts_path) == 2
    assert v2(tmp_path / "child", f"{hosts_path}/job", {"job": "200000 100000\n"}, shown=hosts_path) == 2


def test_a_path_outside_the_mount_falls_back_to_the_mounts_top(tmp_path: Path) -> None:
    assert v2(tmp_path, "/elsewhere", {"": "200000 100000\n"}, shown="/docker/4f0c") == 2


def test_both_versions_side_by_side_count_as_on_a_hybrid_system(tmp_path: Path) -> None:
    files = {
        f"{V1_TOP}/a/cpu.cfs_quota_us": "400000\n",
        f"{V1_TOP}/a/cpu.cfs_period_us": "100000\n",
        f"{V2_TOP}/b/cpu.max": "600000 100000\n",
    }
    mounts = (V1_MOUNT.format(shown="/"), V2_MOUNT.format(shown="/"))
    assert num_processors(machine(tmp_path, own="4:cpu,cpuacct:/a\n0::/b\n", mounts=mounts, files=files)) == 4


@pytest.mark.parametrize("own", ["", "rubbish\n", "0\n", "0::\n", "\n::\n"])
@pytest.mark.parametrize("mount", ["", "rubbish", " - ", " - cgroup2", "1 2 - cgroup2 a b", "1 2 3 4 5 - cgroup"])
def test_files_that_make_no_sense_limit_nothing(own: str, mount: str, tmp_path: Path) -> None:
    assert num_processors(machine(tmp_path, own=own, mounts=(mount,), files={})) == 16


def test_a_path_that_is_not_utf_8_is_read(tmp_path: Path) -> None:
    assert v2(tmp_path, "/caf\udce9", {"caf\udce9": "200000 100000\n"}) == 2


def test_without_control_groups_it_is_the_processors_that_the_process_may_run_on(tmp_path: Path) -> None:
    assert num_processors(tmp_path / "none") == 16


def test_without_an_affinity_mask_it_is_the_processors_of_the_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 6)
    assert num_processors(tmp_path) == 6
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert num_processors(tmp_path) == 1


def test_an_affinity_mask_smaller_than_the_limit_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {3}, raising=False)
    assert v2(tmp_path, "/", {"": "400000 100000\n"}) == 1
