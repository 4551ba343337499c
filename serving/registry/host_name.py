"""Name of a gateway among those that follow the same registry, which it keeps over restarts.

Two containers may have the same host name, and two gateways may run on one host, so the name has a random part, kept in
a file of the state folder. The file is locked (flock) while a gateway uses the name: a second one on the same folder
takes the next file. The system releases the lock however the gateway ends.
"""

from __future__ import annotations

import fcntl
import itertools
import os
import re
import secrets
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from io import FileIO
from pathlib import Path
from typing import Final

from foundation.private_files import make_private, private_opener

_FILE: Final = "gateway-{number}.id"
_ID_BYTES: Final = 4
_ID: Final = re.compile(rb"[0-9a-f]{8}")
_UNFIT: Final = re.compile(r"[() /]")
"""Characters that end a name in a tag; see `serving.registry.owned_reasons`."""


@contextmanager
def own_host_name(folder: Path | None) -> Iterator[str]:
    """Hold a name for the length of the block, such as `gateway-1/5f0c2a9b`.

    Args:
        folder: state folder; where it is None, or cannot be written, the name is a new one with each start.
    """
    with ExitStack() as stack:
        own = secrets.token_hex(_ID_BYTES)
        if folder is not None:
            try:
                make_private(folder)
                own = _claimed(folder, own, stack)
            except OSError:  # read-only or full: the reasons of this name are removed when they are old
                pass
        yield f"{_UNFIT.sub('-', socket.gethostname())}/{own}"


def _claimed(folder: Path, fresh: str, stack: ExitStack) -> str:
    """Return the first id of the folder that no other process holds, and hold it; a new file gets the fresh one.

    Raises:
        OSError: a file cannot be opened, locked or written.
    """
    for number in itertools.count(1):
        path = folder / _FILE.format(number=number)
        file = stack.enter_context(FileIO(path, "a+", opener=private_opener))
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
            continue
        file.seek(0)
        found = file.read(64).strip()
        if _ID.fullmatch(found):
            return found.decode()
        # Empty, or what a full disk left of it.
        file.truncate(0)
        file.write(fresh.encode())
        os.fsync(file.fileno())
        return fresh
    raise AssertionError
