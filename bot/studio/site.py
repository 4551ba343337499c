"""What the studio's pages share: its parts, its templates, and what is known of the live models."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import HTMLResponse

from bot.domain.candidates import Flag
from bot.domain.errors import BotError
from bot.ports import Desk, Interpolator, LiveVersion, ModelServer, QueueRow, Screen, SongResolver
from bot.studio.rendering import Renderer
from bot.studio.security import new_token

FRAGMENT_HEADER = "x-studio-fragment"
"""Sent by the page's script, which wants what changed and not a whole page."""
MAX_EDIT = 4_000
"""Characters of a curator's text; networks take less, and say so when it is posted."""
_LIVE_S = 30.0
_AWAY_S = 10.0
"""For how long it is believed that a model server answers, or does not: every page asks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StudioParts:
    """What the studio works on."""

    open_desk: Callable[[], AbstractContextManager[Desk]]
    """A desk of its own for each request: requests come in threads."""
    server: ModelServer
    resolver: SongResolver
    """Whose genres a free query gets."""
    screen: Screen
    """What curators are told of a text of their own."""
    who: str
    """Whose verdicts they are."""
    interpolator: Interpolator | None = None


class Site:
    """The state that the pages of one studio share."""

    def __init__(self, parts: StudioParts) -> None:
        self.parts = parts
        self.token = new_token()
        self._renderer = Renderer(who=parts.who, token=self.token, max_edit=MAX_EDIT)
        self._versions: tuple[LiveVersion, ...] = ()
        self._asked_until = 0.0
        self._asking = threading.Lock()

    def page(self, name: str, template: str, *, status_code: int = 200, **values: Any) -> HTMLResponse:
        """A page; `name` says which of the header's links it is."""
        return self._renderer.page(template, status_code=status_code, **{"counts": None, **values, "page": name})

    def versions(self) -> tuple[LiveVersion, ...]:
        """The model's versions that answer; none while nobody does. Asked once in a while, whatever the traffic."""
        with self._asking:
            if time.monotonic() >= self._asked_until:
                try:
                    self._versions = tuple(self.parts.server.live())
                except BotError:
                    self._versions = ()
                self._asked_until = time.monotonic() + (_LIVE_S if self._versions else _AWAY_S)
            return self._versions

    def find_version(self, model: str, version: str) -> LiveVersion | None:
        """What is known of a model's version."""
        return next((live for live in self.versions() if (live.model, live.version) == (model, version)), None)

    def flags(self, row: QueueRow) -> tuple[Flag, ...]:
        """What is to be noticed of a candidate's text: as it was written, or as a curator has edited it."""
        sample = row.candidate.sample.text
        return row.candidate.flags if row.text == sample else self.parts.screen.flags(row.text)


def site_of(request: Request) -> Site:
    """The site that a request is for."""
    site = request.app.state.site
    assert isinstance(site, Site)  # noqa: S101 -- put there by `build_app`
    return site


def wants_fragment(request: Request) -> bool:
    """Whether the page's script asks."""
    return FRAGMENT_HEADER in request.headers
