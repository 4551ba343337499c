"""Folder of one running TorchServe: its configuration, its sockets, its temporary files.

It is private, and its path is short, as sockets need it. It lies beside the logs where the path allows that, since
systems clean their temporary folders; where it does not, the guard's lock on it keeps `systemd-tmpfiles` away. The
system releases that lock however the guard ends, so a folder that is older than a start takes and not locked is left
over.
"""

from __future__ import annotations

import os
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Final

from foundation.locked_folders import remove_left_over
from serving.torchserve.errors import TorchServeError

CONFIG_FILE: Final = "config.properties"
_PREFIX: Final = "deephypebot-"
_MAX_PARENT: Final = 70
"""Maximum length in bytes: a Unix socket's path has at most 107 (103 on macOS), of which
/deephypebot-12345678/.ts.sock.9000 takes 35."""


def make_runtime_folder(preferred: Path) -> Path:
    """Create a private folder whose path is short enough for the sockets that TorchServe creates in it.

    Folders that killed services left in the same place are removed first.

    Args:
        preferred: folder to create it in, if the path is short enough; created if it does not exist.

    Raises:
        TorchServeError: no folder will do.
    """
    with suppress(OSError):  # then it is not writable, and one of the others is taken
        preferred.mkdir(parents=True, exist_ok=True)
    parents = (str(preferred.resolve()), tempfile.gettempdir(), "/tmp", "/var/tmp")  # noqa: S108 - mkdtemp makes it private
    for parent in parents:
        if len(os.fsencode(parent)) <= _MAX_PARENT and os.access(parent, os.W_OK):
            remove_left_over(Path(parent), _PREFIX, is_ours=_is_ours)
            return Path(tempfile.mkdtemp(prefix=_PREFIX, dir=parent))
    raise TorchServeError(
        f"TorchServe needs a writable folder whose path has at most {_MAX_PARENT} bytes (it makes Unix sockets there); "
        f"neither {preferred.resolve()} nor {tempfile.gettempdir()} is one: choose another --workspace, or set TMPDIR"
    )


def _is_ours(folder: Path) -> bool:
    return (folder / CONFIG_FILE).is_file() and folder.stat().st_uid == os.getuid()
