from __future__ import annotations

import re
import stat
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from foundation import archive_members
from foundation.archive_members import ArchiveMembersError, check_members

ROOT = Path(__file__).parents[2]


def member(name: str = "a", *, kind: int = stat.S_IFREG, size: int = 1, compressed: int = 1) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name)
    info.external_attr = (kind | 0o600) << 16
    info.file_size, info.compress_size = size, compressed
    return info


def test_an_ordinary_archive_passes() -> None:
    check_members([member("handlers/", kind=stat.S_IFDIR), member("handlers/a.py"), member("b", kind=0)])
    check_members([member("weights", size=60 * 2**20, compressed=40 * 2**20), member("zeros", size=2**20)])
    check_members([])


@pytest.mark.parametrize("name", ["/etc/cron.d/x", "../x", "a/../../x", "..", "C:\\x", "a\\..\\x", "", "a\0b", "c:x"])
def test_a_member_that_would_be_unpacked_elsewhere_is_refused(name: str) -> None:
    unsafe = member()
    unsafe.filename = name
    with pytest.raises(ArchiveMembersError, match="outside of its folder"):
        check_members([unsafe])


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR, stat.S_IFBLK, stat.S_IFSOCK])
def test_links_and_devices_are_refused(kind: int) -> None:
    with pytest.raises(ArchiveMembersError, match=r"symbolic link|neither a file nor a folder"):
        check_members([member(kind=kind)])


@pytest.mark.parametrize("names", [("a", "a"), ("a/b", "a//b"), ("a/b", "./a/b"), ("a", "A"), ("a", "a/")])
def test_two_members_in_one_place_are_refused(names: tuple[str, str]) -> None:
    with pytest.raises(ArchiveMembersError, match="twice"):
        check_members([member(name) for name in names])


def test_encrypted_and_oddly_compressed_members_are_refused() -> None:
    encrypted, odd = member(), member()
    encrypted.flag_bits |= 1
    odd.compress_type = zipfile.ZIP_LZMA
    with pytest.raises(ArchiveMembersError, match="encrypted"):
        check_members([encrypted])
    with pytest.raises(ArchiveMembersError, match="compression method 14"):
        check_members([odd])


def test_bombs_are_refused_by_ratio_by_total_and_by_number() -> None:
    with pytest.raises(ArchiveMembersError, match="grows from 1000 to 1000000000 bytes"):
        check_members([member(size=10**9, compressed=1000)])
    half = archive_members.MAX_TOTAL_BYTES // 2
    halves = [member(name, size=half, compressed=half) for name in ("a", "b")]
    check_members(halves)
    with pytest.raises(ArchiveMembersError, match="members of more than"):
        check_members([*halves, member("c")])
    with pytest.raises(ArchiveMembersError, match="more than 10000 members"):
        check_members(member(str(number)) for number in range(10**9))


def test_a_real_bomb_is_refused_before_it_grows(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "x.mar", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("weights.safetensors", bytes(32 * 2**20))
    with zipfile.ZipFile(tmp_path / "x.mar") as archive, pytest.raises(ArchiveMembersError, match="grows from"):
        check_members(archive.infolist())


@pytest.mark.parametrize("package", ["training", "serving", "bot", "bulk", "benchmarks", "experiments", "handlers"])
def test_every_module_that_opens_archives_of_others_checks_their_members(package: str) -> None:
    already_checked = {
        # It gets archives from `bring_archive` alone, which has checked them a moment before.
        "serving/registry/unpacked.py",
        # It reads one document of the archive that `benchmarks.serving.archive.read_archive` has checked.
        "benchmarks/serving/programs/torchserve.py",
    }
    opens: Callable[[str], object] = re.compile(r"zipfile\.ZipFile\(|tarfile\.open\(|unpack_archive\(").search
    found = {
        str(path.relative_to(ROOT))
        for path in (ROOT / package).rglob("*.py")
        if opens(text := path.read_text()) and "check_members(" not in text
    }
    assert found <= already_checked
