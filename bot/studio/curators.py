"""The curators: the name under which one decides, the progress of the day, and who looks at which song."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime, timedelta
from urllib.parse import quote

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response

from bot.domain.errors import BotError
from bot.ports import Desk, Progress
from bot.studio.forms import one, own_address, own_form
from bot.studio.site import COOKIE, MAX_NAME, Site, named, site_of

_YEAR_S = 365 * 86_400
_RECENTLY = timedelta(minutes=10)
"""Time over which a curator's pace is measured."""
_LOOKS_FOR = timedelta(seconds=60)
"""Time after which a curator who has not asked again looks at nothing; an open page asks every 20 s."""


async def choose_name(request: Request) -> Response:
    """POST /curator: the name under which this browser gives verdicts; an empty one returns to the studio's own."""
    form = await own_form(request)
    text = one(form, "who").strip()
    response = RedirectResponse(own_address(one(form, "back")), 303)
    if not text:
        response.delete_cookie(COOKIE, httponly=True, samesite="strict")
        return response
    name = named(text)
    if not name:
        raise HTTPException(400, f"a name has 1 to {MAX_NAME} printable characters, got {text[:80]!r}")
    response.set_cookie(COOKIE, quote(name, safe=""), max_age=_YEAR_S, httponly=True, samesite="strict")
    return response


async def look(request: Request) -> Response:
    """POST /look: record the song that the curator looks at; answers who looks at which song, and the progress."""
    form = await own_form(request)
    return await run_in_threadpool(_look, site_of(request), one(form, "song")[:40])


def _look(site: Site, place: str) -> Response:
    with site.parts.open_desk() as desk:
        # The database may be full or locked: nobody has to know where this curator looks.
        with suppress(BotError):
            desk.look(site.who, place)
        others = {
            song: [who for who in names if who != site.who]
            for song, names in desk.lookers(since=datetime.now(UTC) - _LOOKS_FOR).items()
        }
        line = progress_line(progress_of(desk, site.who))
    return JSONResponse({"looking": {song: names for song, names in others.items() if names}, "progress": line})


def progress_of(desk: Desk, who: str) -> Progress:
    """Return a curator's progress since midnight, by this machine's clock."""
    now = datetime.now(UTC)
    midnight = now.astimezone().replace(hour=0, minute=0, second=0, microsecond=0)
    return desk.progress(who, since=midnight, recently=now - _RECENTLY)


def progress_line(progress: Progress) -> str:
    """Describe a curator's progress.

    >>> progress_line(Progress(mine=14, everybody=60, waiting=8, recent=12))
    '14 of 60 today, 8 left, 72 an hour: about 7 min'
    >>> progress_line(Progress(mine=0, everybody=0, waiting=8, recent=0))
    '0 today, 8 left'
    """
    given = f"{progress.mine:,} of {progress.everybody:,} today" if progress.everybody else "0 today"
    line = f"{given}, {progress.waiting:,} left"
    if not progress.recent:
        return line
    an_hour = progress.recent * round(timedelta(hours=1) / _RECENTLY)
    minutes = max(1, round(60 * progress.waiting / an_hour))
    rest = f": about {minutes} min" if minutes < 90 else f": about {round(minutes / 60)} h"
    return f"{line}, {an_hour} an hour{rest if progress.waiting else ''}"
