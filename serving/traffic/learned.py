"""References that were learned from a version's first answers, as files: a restart goes on with them.

There is one file for each archive without a reference of its own, named by the archive's hash. A file that cannot be
written or read is a line in the log and nothing more: the reference is then learned again.
"""

from __future__ import annotations

import contextlib
import logging
import os
from pathlib import Path

from handlers.reference import Reference

_log = logging.getLogger(__name__)


class LearnedReferences:
    """Learned references on the disk.

    Args:
        folder: folder of the files; it is made when the first is written. None keeps nothing.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder

    def read(self, sha256: str) -> Reference | None:
        """Return what was learned of an archive; None if there is nothing that can be used.

        Args:
            sha256: hash of the archive.
        """
        if self._folder is None:
            return None
        path = self._folder / f"{sha256}.json"
        try:
            return Reference.from_json(path.read_bytes())
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as cause:
            _log.warning("the learned reference in %s cannot be used and is learned again: %s", path, cause)
            return None

    def write(self, sha256: str, reference: Reference) -> None:
        """Keep what was learned of an archive.

        Args:
            sha256: hash of the archive.
            reference: figures of the version's first answers.
        """
        if self._folder is None:
            return
        path = self._folder / f"{sha256}.json"
        partial = path.with_name(f".{path.name}.{os.getpid()}")
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            try:
                partial.write_text(reference.to_json(), encoding="utf-8")
                partial.replace(path)
            finally:
                with contextlib.suppress(OSError):
                    partial.unlink(missing_ok=True)
        except OSError as cause:
            _log.warning("the learned reference cannot be kept in %s: a restart learns it again: %s", path, cause)
