"""State shared by the studio's pages: its parts, its templates, and the live model versions."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any

from starlette.requests import Request
from starlette.responses import HTMLResponse

from bot.domain.candidates import Flag
from bot.domain.errors import BotError
from bot.domain.post_form import Preview
from bot.ports import Desk, Interpolator, LiveVersion, ModelServer, QueueRow, SongResolver
from bot.services.post_rules import PostRules
from bot.studio.assets import Assets
from bot.studio.rendering import Renderer
from bot.studio.security import new_token

FRAGMENT_HEADER = "x-studio-fragment"
"""Header of the page's script, which requests the changed parts instead of a whole page."""
MAX_EDIT = 4_000
"""Maximum characters of an edited text; networks accept less and refuse longer posts."""
_LIVE_S = 30.0
_AWAY_S = 10.0
"""Lifetimes of a cached answer of the model server and of a failure, since every page needs it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StudioParts:
    """Parts of a studio."""

    open_desk: Callable[[], AbstractContextManager[Desk]]
    """Opens a desk for a request; requests run in threads, so each needs its own."""
    server: ModelServer
    resolver: SongResolver
    """Resolver that gives a free query its genres."""
    rules: PostRules
    """Form of the posts, and the one rule for what may be accepted."""
    who: str
    """Name of the curator, recorded with verdicts."""
    interpolator: Interpolator | None = None
    page_token: str = field(default_factory=new_token)
    """Token of the studio's own pages, without which nothing is changed."""


class Site:
    """State shared by the pages of one studio."""

    def __init__(self, parts: StudioParts) -> None:
        self.parts = parts
        self.token = parts.page_token
        self.assets = Assets()
        self._renderer = Renderer(who=parts.who, token=self.token, max_edit=MAX_EDIT, assets=self.assets)
        self._versions: tuple[LiveVersion, ...] = ()
        self._asked_until = 0.0
        self._asking = threading.Lock()

    def page(self, name: str, template: str, *, status_code: int = 200, **values: Any) -> HTMLResponse:
        """Render a page; `name` is its link in the header."""
        return self._renderer.page(template, status_code=status_code, **{"counts": None, **values, "page": name})

    def versions(self) -> tuple[LiveVersion, ...]:
        """Return the live versions of the model; none if the server is unreachable. The answer is cached."""
        with self._asking:
            if time.monotonic() >= self._asked_until:
                try:
                    self._versions = tuple(self.parts.server.live())
                except BotError:
                    self._versions = ()
                self._asked_until = time.monotonic() + (_LIVE_S if self._versions else _AWAY_S)
            return self._versions

    def find_version(self, model: str, version: str) -> LiveVersion | None:
        """Return a model's version if it is live."""
        return next((live for live in self.versions() if (live.model, live.version) == (model, version)), None)

    def flags(self, row: QueueRow) -> tuple[Flag, ...]:
        """Return the flags of a candidate's post."""
        return self.parts.rules.flags(row)

    def preview(self, row: QueueRow) -> Preview:
        """Return a candidate's post as it will be sent."""
        return self.parts.rules.preview(row)

    def objection(self, row: QueueRow) -> str:
        """Return the reason why a candidate may not be accepted as it is; empty without one."""
        return self.parts.rules.objection_to(row)


def site_of(request: Request) -> Site:
    """Return the site of a request."""
    site = request.app.state.site
    assert isinstance(site, Site)  # noqa: S101 -- put there by `build_app`
    return site


def wants_fragment(request: Request) -> bool:
    """Whether a request comes from the page's script."""
    return FRAGMENT_HEADER in request.headers
