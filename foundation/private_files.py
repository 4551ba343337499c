"""Folders and files that other users of the machine cannot read."""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from pathlib import Path
from typing import Final

_FOLDER: Final = 0o700
_OTHERS: Final = 0o007


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


def private_opener(path: str, flags: int) -> int:
    """Open a file, which only its owner can read if it is a new one; for the `opener` of `open`."""
    return os.open(path, flags, 0o600)


def keep_others_out() -> None:
    """Let this process, and those that it starts, make files that other users cannot read (umask)."""
    os.umask(os.umask(_OTHERS) | _OTHERS)
