"""SIGTERM as an error, so that a training closes its runs and leaves its last checkpoint whole."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from training.errors import TerminatedError


def _raise_terminated(number: int, frame: FrameType | None) -> None:
    del number, frame
    # torchrun terminates all processes when one has failed. A process that is handling its own error ends anyway, and
    # interrupting it would leave its runs open.
    if sys.exc_info()[0] is None:
        raise TerminatedError("terminated (SIGTERM); the same command continues from the last checkpoint")


@contextmanager
def raise_on_sigterm() -> Iterator[None]:
    """Raise an error when SIGTERM arrives within the block; only for the main thread.

    Raises:
        TerminatedError: the signal arrived.
    """
    before = signal.signal(signal.SIGTERM, _raise_terminated)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
