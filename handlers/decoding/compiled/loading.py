"""The compiled decode of this machine: whether there is one, and where its code is kept.

numba needs no compiler on the machine. What it compiles is kept in the user's cache folder by the hash of the source
it was compiled from, so that every worker after the first finds it, whatever folder its archive was unpacked to. numba
adds the processor's name and abilities to the key. Without a folder that can be written, each process compiles for
itself.
"""

from __future__ import annotations

import fcntl
import hashlib
import importlib.metadata
import importlib.util
import logging
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import cache
from pathlib import Path
from typing import Final, NamedTuple

import handlers.decoding
import handlers.model
from foundation.private_files import keep_writers_out, make_private
from handlers.contract import COMPILED_VARIABLE, KERNEL_CACHE_VARIABLE

_log = logging.getLogger(__name__)

_DIGITS: Final = 16
_LOCK: Final = "lock"
_SCIPY: Final = "scipy"
_OPTIONS: Final = {"nogil": True, "error_model": "numpy"}


class Kernels(NamedTuple):
    """Entries of `handlers.decoding.compiled.kernel`, compiled at their first call."""

    advance_cells: Callable[..., None]
    scale_rows: Callable[..., None]
    choose_tokens: Callable[..., int]


def is_available() -> bool:
    """Return whether numba is installed, and not switched off."""
    return os.environ.get(COMPILED_VARIABLE, "1") != "0" and importlib.util.find_spec("numba") is not None


def load() -> Kernels | None:
    """Return the compiled decode, or None where numba is not there or does not load; the reason is logged."""
    return loaded() if is_available() else None


@cache
def loaded() -> Kernels | None:
    """Return the compiled decode, the same at each call, or None where numba does not load; the reason is logged."""
    try:
        return _load()
    except Exception:  # noqa: BLE001 - a broken installation, a release with other interfaces: torch decodes instead
        _log.exception("numba does not compile the decode; torch decodes instead")
        return None


def _load() -> Kernels:
    from numba import njit  # noqa: PLC0415 - an optional package, which takes half a second to import

    from handlers.decoding.compiled import kernel  # noqa: PLC0415 - imports numba

    folder = cache_folder()
    if folder is None:
        return unkept()
    with _kept_in(folder):
        return Kernels(*(njit(cache=True, **_OPTIONS)(getattr(kernel, name)) for name in Kernels._fields))


@cache
def unkept() -> Kernels:
    """Return a compiled decode whose code is this process's alone."""
    from numba import njit  # noqa: PLC0415 - see `_load`

    from handlers.decoding.compiled import kernel  # noqa: PLC0415 - imports numba

    return Kernels(*(njit(**_OPTIONS)(getattr(kernel, name)) for name in Kernels._fields))


def cache_folder() -> Path | None:
    """Return the folder of the machine code, which only its owner can change; None where there cannot be one."""
    base = os.environ.get(KERNEL_CACHE_VARIABLE) or os.environ.get("XDG_CACHE_HOME") or Path("~/.cache").expanduser()
    folder = Path(base) / "deephypebot" / "kernels" / _source_sha256()[:_DIGITS]
    try:
        make_private(folder.parent)
        make_private(folder)
        # Another user who can write one of them can put a folder of their own in the place of the next.
        for each in (folder.parent.parent, folder.parent, folder):
            keep_writers_out(each)
        tempfile.TemporaryFile(dir=folder).close()
    except (OSError, RuntimeError) as cause:
        _log.warning("compiled code cannot be kept (%s); name a folder of your own in %s", cause, KERNEL_CACHE_VARIABLE)
        return None
    return folder


@cache
def _source_sha256() -> str:
    """Return the hash of all source that the compiled code may have been made of, of its name, and numba's release."""
    digest = hashlib.sha256()
    digest.update(importlib.metadata.version("numba").encode())
    # numba's files name the modules: where MLflow imports the worker's code of a model, under a name of its own, they
    # could be read by that process alone.
    digest.update(__name__.encode())
    packages = (Path(handlers.decoding.__file__).parent, Path(handlers.model.__file__).parent)
    for path in sorted(
        (path for package in packages for path in package.rglob("*.py")), key=lambda path: path.parts[-3:]
    ):
        digest.update(path.read_bytes())
    return digest.hexdigest()


@contextmanager
def _kept_in(folder: Path) -> Iterator[None]:
    """Let the functions that are decorated in the block keep their code in a folder."""
    from numba import config  # noqa: PLC0415 - see `_load`

    from handlers.decoding.compiled.keeping import Locator  # noqa: PLC0415 - imports numba

    before = config.CACHE_LOCATOR_CLASSES, config.CACHE_DIR
    config.CACHE_LOCATOR_CLASSES, config.CACHE_DIR = f"{Locator.__module__}.{Locator.__qualname__}", str(folder)
    try:
        yield
    finally:
        config.CACHE_LOCATOR_CLASSES, config.CACHE_DIR = before


@contextmanager
def one_compiles() -> Iterator[None]:
    """Let the processes that start together wait for the first of them: it compiles, and they find its code."""
    folder = cache_folder()
    if folder is None:
        yield
        return
    with ExitStack() as held:
        held.enter_context(_without_scipy())
        try:
            fcntl.flock(held.enter_context((folder / _LOCK).open("w")), fcntl.LOCK_EX)
        except OSError as cause:  # a network's folder without locks, a full disk
            _log.warning("%s cannot be locked (%s): workers that start together may all compile", folder, cause)
        yield


def forget() -> None:
    """Remove the code that is kept: it is damaged, was not made by this package, or was not written to its end."""
    folder = cache_folder()
    for path in () if folder is None else folder.glob("*.nb[ci]"):
        path.unlink(missing_ok=True)


@contextmanager
def _without_scipy() -> Iterator[None]:
    """Hide SciPy, unless it is imported: numba looks for its BLAS, which no kernel uses, and 14 MB would stay."""
    if _SCIPY in sys.modules:
        yield
        return
    sys.modules[_SCIPY] = None  # type: ignore[assignment] # so says the import system that there is no such module
    try:
        yield
    finally:
        del sys.modules[_SCIPY]
