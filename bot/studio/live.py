"""Requests of an open page: cards that others have changed, and the post that an edit makes."""

from __future__ import annotations

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from bot.domain.post_text import as_written
from bot.ports import DeskRow
from bot.studio.cards import Card, card_view
from bot.studio.forms import one, read_form
from bot.studio.security import is_own
from bot.studio.site import MAX_EDIT, Site, site_of


async def changed_cards(request: Request) -> Response:
    """POST /changed: those of the page's cards whose state differs from the one it shows, and the counts."""
    _check_own(request)
    form = await read_form(request)
    ids, states = form.get("candidate", []), form.get("state", [])
    if len(ids) != len(states):
        raise HTTPException(400, "each candidate needs the state that its card shows")
    return await run_in_threadpool(_changed, site_of(request), dict(zip(ids, states, strict=True)))


def _changed(site: Site, states: dict[str, str]) -> Response:
    with site.parts.open_desk() as desk:
        rows = [row for row in desk.rows(list(states)) if _state_of(row) != states[row.row.candidate.id]]
        # Every open page asks every few seconds, and mostly nothing has changed.
        cards: list[Card] = []
        if rows:
            shown = site.for_cards(desk, desk.versions())
            cards = [card_view(row, shown) for row in rows]
        return site.page("queue", "cards.html", cards=cards, counts=desk.counts(), back="/")


def _state_of(row: DeskRow) -> str:
    # The versions of a song appear with its last verdict, and go with an undo, on all of its cards.
    return f"{row.verdict_id} {row.post or ''}{' blind' if row.row.candidate.is_blind else ''}"


async def preview(request: Request) -> Response:
    """POST /preview: the post that a text makes, its length by the network's rule, and why it is not accepted."""
    _check_own(request)
    form = await read_form(request)
    return await run_in_threadpool(_preview, site_of(request), one(form, "candidate"), one(form, "text")[:MAX_EDIT])


def _preview(site: Site, candidate_id: str, text: str) -> Response:
    plain = as_written(text)
    with site.parts.open_desk() as desk:
        (row,) = desk.rows([candidate_id])
    post = site.parts.rules.preview(row.row, plain)
    return JSONResponse(
        {
            "text": post.text,
            "length": post.length,
            "max_length": post.max_length,
            "network": post.network.label,
            "objection": site.parts.rules.objection_to(row.row, plain),
        }
    )


def _check_own(request: Request) -> None:
    # Nothing is changed, but other sites have no business with the queue either.
    if not is_own(request.headers):
        raise HTTPException(403, "the studio's own pages ask this, and no others")
