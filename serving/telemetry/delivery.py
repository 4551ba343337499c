"""Sending of spans and events to a collector: counts, one line of the log when it fails, and an end in time."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from foundation.redaction import redacted

_log = logging.getLogger(__name__)

_CLOSE_S: Final = 2.0
"""Longest time for the last data when a process ends: no collector that hangs may hold it."""
_LIBRARIES: Final = "opentelemetry"
"""Logger of the libraries, which have a line for each batch that cannot be sent; `Delivery` has one for all of them."""


class Delivery:
    """Counts of what was sent and lost, with a line of the log when a collector stops taking it or takes it again.

    Args:
        what: the data, in the words of a message.
        address: where to, for the log.
        way_out: what else a person may do, for the log; empty if there is nothing else.
    """

    def __init__(self, what: str, address: str, way_out: str = "") -> None:
        self._what = what
        self._address = redacted(address)
        self._way_out = f" ({way_out})" if way_out else ""
        self._is_failing = False
        self.sent = 0
        self.lost = 0

    def note(self, number: int, *, is_taken: bool) -> None:
        """Count a batch.

        Args:
            number: its spans or events, at least one.
            is_taken: whether the collector took them.
        """
        if is_taken:
            self.sent += number
        else:
            self.lost += number
        if not is_taken and not self._is_failing:
            _log.warning(
                "%s cannot be sent to %s; they are dropped until it takes them%s",
                self._what,
                self._address,
                self._way_out,
            )
        elif self._is_failing and is_taken:
            _log.info("%s takes %s again; %d were lost", self._address, self._what, self.lost)
        self._is_failing = not is_taken


@contextmanager
def sending(shutdown: Callable[[], None]) -> Iterator[None]:
    """Keep the libraries' own log quiet for the length of the block, and give the last data two seconds at its end.

    Args:
        shutdown: sends what is left, however long that takes.
    """
    libraries = logging.getLogger(_LIBRARIES)
    level = libraries.level
    libraries.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        # The libraries' own limit is 30 s. The thread is a daemon: one that still waits ends with the process.
        closing = threading.Thread(target=shutdown, name="last spans and events", daemon=True)
        closing.start()
        closing.join(_CLOSE_S)
        libraries.setLevel(level)
