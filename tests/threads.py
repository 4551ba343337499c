"""Threads that work for as long as a block runs."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager


@contextmanager
def running(threads: Sequence[threading.Thread], done: threading.Event) -> Iterator[None]:
    """Start threads that end by an event; when the block ends, set it and wait until all of them have ended."""
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        done.set()
        for thread in threads:
            thread.join()
