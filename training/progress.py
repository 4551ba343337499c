"""Progress callbacks of long work."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """Callback that gets the progress of long work; it is called often, and may ignore it."""

    def __call__(self, done: float, total: float, note: str) -> None:
        """Report the amount done, the total, and a short note on the state."""


def silent(done: float, total: float, note: str) -> None:
    """Ignore the progress."""
    del done, total, note
