"""Folder of the decode's machine code, named by the hash of the source, for numba to keep it in."""

from __future__ import annotations

from numba import config
from numba.core.caching import UserProvidedCacheLocator


class Locator(UserProvidedCacheLocator):
    """Locator of a folder whose name says what the code was made of, wherever the source lies.

    numba's own keys are the path and the content of one file. A worker's files are unpacked to a new path each time,
    and the code of a function depends on other files too.
    """

    def __init__(self, py_func, py_file):
        super().__init__(py_func, py_file)
        self._cache_path = config.CACHE_DIR

    def get_source_stamp(self):
        """Return what is the same as long as the folder is: nothing more has to be compared."""
        return self._cache_path
