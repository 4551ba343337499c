"""Members of an archive (ZIP), checked before the first of them is extracted.

Every place that opens an archive calls `check_members` first: names that leave the folder, links, duplicates, encrypted
members and more data than any archive of this project holds are refused by what the archive's table says. Python's
zipfile reads no more of a member than the table says, so the sizes can be relied on.
"""

from __future__ import annotations

import stat
import zipfile
from collections.abc import Iterable
from pathlib import PurePosixPath
from typing import Final

MAX_MEMBERS: Final = 10_000
MAX_TOTAL_BYTES: Final = 8 * 2**30
"""Bytes of all members when they are extracted; the largest preset has 60 MB."""
MAX_RATIO: Final = 200
"""Extracted bytes for each byte of a member that is larger than `_RATIO_FROM`; weights have 2 at most, tables 20."""
_RATIO_FROM: Final = 4 * 2**20
_METHODS: Final = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
"""Compression methods that Java reads as well."""
_ENCRYPTED: Final = 0x1
_KINDS: Final = (0, stat.S_IFREG, stat.S_IFDIR)
"""Kinds of files: none told, a file, a folder."""


class ArchiveMembersError(ValueError):
    """An archive has a member that must not be extracted; the message says which, and why."""


def check_members(members: Iterable[zipfile.ZipInfo]) -> None:
    """Check the table of an archive's members.

    Args:
        members: entries of the table, as `ZipFile.infolist` returns them.

    Raises:
        ArchiveMembersError: a member, or all of them together, must not be extracted.
    """
    seen: set[str] = set()
    total = 0
    for number, member in enumerate(members, 1):
        _check(member)
        if number > MAX_MEMBERS:
            raise ArchiveMembersError(f"has more than {MAX_MEMBERS} members")
        place = _place(member.filename)
        if place in seen:
            raise ArchiveMembersError(f"holds {member.filename!r} twice")
        seen.add(place)
        total += member.file_size
        if total > MAX_TOTAL_BYTES:
            raise ArchiveMembersError(f"has members of more than {MAX_TOTAL_BYTES} bytes")


def is_relative(name: str) -> bool:
    r"""Return whether a path stays below the folder that it is relative to, on every system.

    >>> is_relative("handlers/handler.py"), is_relative("/etc/passwd"), is_relative("a/../../b"), is_relative("C:\\a")
    (True, False, False, False)
    """
    path = PurePosixPath(name)
    return bool(name) and not path.is_absolute() and ".." not in path.parts and not set(name) & {"\\", ":", "\0"}


def _check(member: zipfile.ZipInfo) -> None:
    name = member.filename
    if not is_relative(name):
        raise ArchiveMembersError(f"has a member {name!r}, which would be unpacked outside of its folder")
    if member.flag_bits & _ENCRYPTED:
        raise ArchiveMembersError(f"has an encrypted member {name!r}")
    if member.compress_type not in _METHODS:
        raise ArchiveMembersError(
            f"has a member {name!r} with compression method {member.compress_type}, which TorchServe does not read"
        )
    kind = stat.S_IFMT(member.external_attr >> 16)
    if kind == stat.S_IFLNK:
        raise ArchiveMembersError(f"has a symbolic link {name!r}")
    if kind not in _KINDS:
        raise ArchiveMembersError(f"has a member {name!r} that is neither a file nor a folder")
    if member.file_size > max(_RATIO_FROM, MAX_RATIO * member.compress_size):
        raise ArchiveMembersError(
            f"has a member {name!r} that grows from {member.compress_size} to {member.file_size} bytes"
        )


def _place(name: str) -> str:
    """Return where a member is extracted to: a//b, ./a/b and a/b are one file, and A/B is on some systems."""
    return str(PurePosixPath(name)).casefold()
