"""Folder of one running TorchServe: its configuration, its sockets, its temporary files.

It is private, and its path is short, as sockets need it. It lies beside the logs where the path allows that, else in
the user's folder for caches (XDG_CACHE_HOME, ~/.cache), since systems clean their temporary folders. Only where neither
will do it lies in one of those; the guard's lock on it then keeps `systemd-tmpfiles` away, but not every cleaner. The
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
from foundation.private_files import make_private
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
    with suppress(OSError):  # the logs' folder is made, whether or not its path is short enough
        preferred.mkdir(parents=True, exist_ok=True)
    places = (preferred.resolve(), _cache(), Path(tempfile.gettempdir()), Path("/tmp"), Path("/var/tmp"))  # noqa: S108 - mkdtemp makes it private
    for place in places:
        if len(os.fsencode(place)) > _MAX_PARENT:
            continue
        with suppress(OSError):  # then it is not writable, and one of the others is taken
            make_private(place)
        if os.access(place, os.W_OK):
            remove_left_over(place, _PREFIX, is_ours=_is_ours)
            return Path(tempfile.mkdtemp(prefix=_PREFIX, dir=place))
    raise TorchServeError(
        f"TorchServe needs a writable folder whose path has at most {_MAX_PARENT} bytes (it makes Unix sockets there); "
        f"neither {preferred.resolve()} nor {tempfile.gettempdir()} is one: choose another --workspace, or set TMPDIR"
    )


def _cache() -> Path:
    """Return the place in the user's folder for caches; the specification of XDG ignores relative paths."""
    named = Path(os.environ.get("XDG_CACHE_HOME", ""))
    # Not Path.expanduser, which raises where a user has no home.
    default = Path(os.path.expanduser("~/.cache"))  # noqa: PTH111
    return (named if named.is_absolute() else default) / "deephypebot"


def _is_ours(folder: Path) -> bool:
    return (folder / CONFIG_FILE).is_file() and folder.stat().st_uid == os.getuid()
