"""Importing a library without modules that the bot has no use for.

spotipy imports redis, 7 MiB with what that imports, for the name of one exception of a cache that nobody asked for;
atproto_client imports its asynchronous half for its own `__init__`. While such a library is imported an empty module
stands for those; afterwards they are as if nobody had imported them yet.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from types import ModuleType


def preload(library: str, *, without: Mapping[str, Sequence[str]]) -> None:
    """Import a library, so that importing it later finds it there.

    A library that needs more of a module than was thought is left alone: it is imported whole when it is wanted.

    Args:
        library: the name of the library.
        without: modules to leave out, and the exceptions or classes that are taken from them by name.
    """
    if library in sys.modules:
        return
    with suppress(ImportError, AttributeError, TypeError), _empty(without):
        importlib.import_module(library)


@contextmanager
def _empty(modules: Mapping[str, Sequence[str]]) -> Iterator[None]:
    missing = {name: _stand_in(name, names) for name, names in modules.items() if name not in sys.modules}
    sys.modules.update(missing)
    try:
        yield
    finally:
        for name in missing:
            del sys.modules[name]


def _stand_in(module: str, names: Sequence[str]) -> ModuleType:
    empty = ModuleType(module)
    for name in names:
        # An exception, so that `except` takes it; nothing raises it.
        setattr(empty, name, type(name, (Exception,), {}))
    return empty
