"""Folders and files that other users of the machine cannot read."""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from pathlib import Path
from typing import Final

_FOLDER: Final = 0o700
_OTHERS: Final = 0o007
_WRITERS: Final = 0o022


def make_private(folder: Path) -> None:
    """Make a folder that only its owner enters; take everybody else's rights from one that is there.

    The rights of its group stay, since an operator may have given them on purpose. A folder of another user, on a
    read-only disk, or that many share (with the sticky bit, such as /tmp) is left as it is.

    Raises:
        OSError: it cannot be made.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    folder.mkdir(mode=_FOLDER, exist_ok=True)
    with suppress(OSError):
        mode = stat.S_IMODE(folder.stat().st_mode)
        if mode & _OTHERS and not mode & stat.S_ISVTX:
            folder.chmod(mode & ~_OTHERS)


def keep_writers_out(folder: Path) -> None:
    """Let nobody but the owner change a folder or its files: take the rights of its group and of others to write.

    Raises:
        PermissionError: somebody else can write all the same; the message names the file and the way out.
        OSError: the folder cannot be read.
    """
    if os.name == "nt":  # rights are elsewhere
        return
    for path in (folder, *(each for each in folder.iterdir() if each.is_file())):
        with suppress(OSError):
            path.chmod(stat.S_IMODE(path.stat().st_mode) & ~_WRITERS)
        found = path.stat()
        if found.st_uid not in (0, os.geteuid()):
            raise PermissionError(f"{path} belongs to another user (uid {found.st_uid}), who can change it: chown it")
        if found.st_mode & _WRITERS:
            mode = stat.S_IMODE(found.st_mode)
            raise PermissionError(f"{path} can be written by other users (mode {mode:o}): chmod go-w {path}")


def private_opener(path: str, flags: int) -> int:
    """Open a file, which only its owner can read if it is a new one; for the `opener` of `open`."""
    return os.open(path, flags, 0o600)


def keep_others_out() -> None:
    """Let this process, and those that it starts, make files that other users cannot read (umask)."""
    os.umask(os.umask(_OTHERS) | _OTHERS)
