"""How a training ends when it is asked to: in order, so that its runs are closed and its last checkpoint is whole."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from training.errors import TerminatedError


def _end(number: int, frame: FrameType | None) -> None:
    del number, frame
    # torchrun ends all processes when one has failed. One that is failing itself is about to end, and to cut that
    # short would leave its runs open.
    if sys.exc_info()[0] is None:
        raise TerminatedError("asked to end (SIGTERM); the same command goes on from the last checkpoint")


@contextmanager
def raise_on_sigterm() -> Iterator[None]:
    """Make SIGTERM an error like another for as long as the block runs; the main thread alone may ask for this.

    Raises:
        TerminatedError: the signal came.
    """
    before = signal.signal(signal.SIGTERM, _end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
