"""Songs that a curator corrects: what is not a song, and what has another artist, title or genres."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import quote

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from bot.domain.errors import BotError
from bot.ports import Correction, Desk, SongLabel
from bot.services.corrections import SongNames
from bot.studio.forms import Form, one, own_address, own_form
from bot.studio.site import Site, site_of

_NO_SONG, _CHANGE, _UNDO = _ACTIONS = ("no song", "change", "undo")


@dataclass(frozen=True, slots=True, kw_only=True)
class Corrected:
    """A song that was just corrected, for the line that offers the undo."""

    place: str
    title: str


async def correct(request: Request) -> Response:
    """POST /songs: mark a song as none, change it and ask for new samples, or undo that."""
    form = await own_form(request)
    return await run_in_threadpool(_correct, site_of(request), form)


def _correct(site: Site, form: Form) -> Response:
    action, place, back = one(form, "action"), one(form, "song"), own_address(one(form, "back"))
    if action not in _ACTIONS:
        raise HTTPException(400, f"action must be one of {', '.join(_ACTIONS)}, got {action[:60]!r}")
    anchor = place
    with site.parts.open_desk() as desk:
        if action == _UNDO:
            desk.restore(place, site.who)
        else:
            correction = _correction(site, desk, form, place)
            desk.correct(correction)
            if correction.candidates:
                anchor = f"{place.partition('.')[0]}.{correction.candidates[0].report.number}"
            back += f"{'&' if '?' in back else '?'}corrected={quote(place)}"
    return RedirectResponse(f"{back}#song-{quote(anchor)}", 303)


def _correction(site: Site, desk: Desk, form: Form, place: str) -> Correction:
    rows = desk.song(place)
    ids, seen = form.get("candidate", []), form.get("seen", [])
    if len(ids) != len(seen) or not all(number.isascii() and number.isdigit() for number in seen):
        raise HTTPException(400, "a correction needs the song's candidates, each with the verdict that was seen before")
    states = {name: int(number[:18]) for name, number in zip(ids, seen, strict=True)}
    if one(form, "action") == _NO_SONG:
        return Correction(place=place, label=SongLabel.NO_SONG, who=site.who, seen=states)
    names = SongNames(
        artist=_line(one(form, "artist")),
        title=_line(one(form, "title")),
        genres=tuple(dict.fromkeys(filter(None, map(_line, one(form, "genres").split(","))))),
    )
    # The samples are asked for before anything is written: a studio that is killed meanwhile has changed nothing.
    number = desk.next_number(rows[0].source_post.id)
    candidates = tuple(site.parts.corrector.change(rows[0], names, number=number))
    return Correction(place=place, label=SongLabel.CHANGED, who=site.who, seen=states, candidates=candidates)


def _line(text: str) -> str:
    """Return a text on one line."""
    return " ".join(text.split())


def find_corrected(desk: Desk, place: str) -> Corrected | None:
    """Return the song that the address says was just corrected; None if there is none, or that was undone."""
    if not place:
        return None
    try:
        rows = desk.song(place)
    except BotError:
        return None
    if not any(row.candidate.withdrawn for row in rows):
        return None
    return Corrected(place=place, title=rows[0].candidate.report.song.title)
