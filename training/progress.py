"""How long work says how far it is."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """Called often; cheap to ignore."""

    def __call__(self, done: float, total: float, note: str) -> None:
        """Say how much is done of how much, and a few words on the state."""


def silent(done: float, total: float, note: str) -> None:
    """A progress that nobody watches."""
    del done, total, note
