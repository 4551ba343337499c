"""State shared by the studio's pages: its parts, its templates, and the live model versions."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

from starlette.requests import Request
from starlette.responses import HTMLResponse

from bot.domain.candidates import Flag
from bot.domain.post_form import Preview
from bot.ports import (
    Desk,
    ExperimentReports,
    Interpolator,
    LiveVersion,
    ModelServer,
    QueueRow,
    SongResolver,
    VersionTally,
)
from bot.services.corrections import SongCorrector
from bot.services.post_rules import PostRules
from bot.services.post_waits import PostWait, PostWaits, WaitReport
from bot.studio.assets import Assets
from bot.studio.live_versions import LiveVersions
from bot.studio.rendering import Renderer
from bot.studio.security import new_token

FRAGMENT_HEADER = "x-studio-fragment"
"""Header of the page's script, which requests the changed parts instead of a whole page."""
MAX_EDIT = 4_000
"""Maximum characters of an edited text; networks accept less and refuse longer posts."""
COOKIE = "deephypebot_curator"
"""Cookie with the name that a curator has chosen in this browser."""
MAX_NAME = 60


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
    waits: PostWaits
    """Reader of what accepted posts wait for."""
    who: str
    """Name that is recorded with verdicts of a browser in which no other was chosen."""
    corrector: SongCorrector
    """Writes the candidates of songs that curators change or add."""
    reports: ExperimentReports
    """Reports of the experiments, for their page."""
    interpolator: Interpolator | None = None
    page_token: str = field(default_factory=new_token)
    """Token of the studio's own pages, without which nothing is changed."""


class Site:
    """State shared by the pages of one studio, as one curator sees them."""

    def __init__(self, parts: StudioParts) -> None:
        self.parts = parts
        self.who = parts.who
        self.hides_topics = True
        self.waiting_posts: WaitReport | None = None
        self.token = parts.page_token
        self.assets = Assets()
        self._live = LiveVersions(parts.server)
        self._renderer = Renderer(token=self.token, max_edit=MAX_EDIT, assets=self.assets)

    def seen_by(self, who: str) -> Site:
        """Return the same site for the curator of a request; for that of the command if the name is empty."""
        site = copy.copy(self)
        site.who = who or self.parts.who
        return site

    def for_cards(self, desk: Desk, tallies: Sequence[VersionTally]) -> Site:
        """Return the same site for cards: with what accepted posts wait for, and blind to versions.

        The topics of candidates that wait do not tell their versions apart.

        Args:
            desk: the queue.
            tallies: the versions in the queue.
        """
        waiting = [self.find_version(each.model, each.model_version) for each in tallies if each.waiting]
        topics = {(live.topics, live.desired_topic) if live is not None else None for live in waiting}
        site = copy.copy(self)
        site.hides_topics = len(waiting) > 1 and (len(topics) > 1 or None in topics)
        site.waiting_posts = self.parts.waits.read(desk)
        return site

    def page(self, name: str, template: str, *, status_code: int = 200, **values: Any) -> HTMLResponse:
        """Render a page; `name` is its link in the header."""
        has_reports = not self.parts.reports.is_empty()
        given = {"counts": None, "back": "", **values, "page": name, "who": self.who, "has_reports": has_reports}
        return self._renderer.page(template, status_code=status_code, **given)

    def versions(self) -> tuple[LiveVersion, ...]:
        """Return the live versions of the model; none if the server is unreachable. The answer is cached."""
        return self._live.all()

    def find_version(self, model: str, version: str) -> LiveVersion | None:
        """Return a model's version if it is live."""
        return self._live.find(model, version)

    def flags(self, row: QueueRow) -> tuple[Flag, ...]:
        """Return the flags of a candidate's post."""
        return self.parts.rules.flags(row)

    def wait_of(self, candidate_id: str) -> PostWait | None:
        """Return what a candidate's post waits for; None if it is not to be sent."""
        return self.waiting_posts.find(candidate_id) if self.waiting_posts is not None else None

    def preview(self, row: QueueRow) -> Preview:
        """Return a candidate's post as it will be sent."""
        return self.parts.rules.preview(row)

    def objection(self, row: QueueRow) -> str:
        """Return the reason why a candidate may not be accepted as it is; empty without one."""
        return self.parts.rules.objection_to(row)


def site_of(request: Request) -> Site:
    """Return the site as the curator of a request sees it."""
    site = request.app.state.site
    assert isinstance(site, Site)  # noqa: S101 -- put there by `build_app`
    return site.seen_by(named(unquote(request.cookies.get(COOKIE, ""))))


def named(text: str) -> str:
    r"""Return a curator's name; empty if it is not one.

    >>> named("  Ana  Rós "), named("a\x00b"), named("x" * 61)
    ('Ana Rós', '', '')
    """
    name = " ".join(text.split())
    return name if name.isprintable() and len(name) <= MAX_NAME else ""


def wants_fragment(request: Request) -> bool:
    """Whether a request comes from the page's script."""
    return FRAGMENT_HEADER in request.headers
