"""The live versions of the model, as a studio remembers them for a while."""

from __future__ import annotations

import threading
import time

from bot.domain.errors import BotError
from bot.ports import LiveVersion, ModelServer

_LIVE_S = 30.0
_AWAY_S = 10.0
"""Lifetimes of a cached answer of the model server and of a failure, since every page needs it."""


class LiveVersions:
    """Cached answer of a model server to the question of its live versions. It is thread-safe.

    Args:
        server: the model server.
    """

    def __init__(self, server: ModelServer) -> None:
        self._server = server
        self._versions: tuple[LiveVersion, ...] = ()
        self._asked_until = 0.0
        self._asking = threading.Lock()

    def all(self) -> tuple[LiveVersion, ...]:
        """Return the live versions; none if the server is unreachable."""
        with self._asking:
            if time.monotonic() >= self._asked_until:
                try:
                    self._versions = tuple(self._server.live())
                except BotError:
                    self._versions = ()
                self._asked_until = time.monotonic() + (_LIVE_S if self._versions else _AWAY_S)
            return self._versions

    def find(self, model: str, version: str) -> LiveVersion | None:
        """Return a model's version if it is live."""
        return next((live for live in self.all() if (live.model, live.version) == (model, version)), None)
