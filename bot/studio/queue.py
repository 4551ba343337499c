"""Page of the queue, and the verdicts given on it."""

from __future__ import annotations

import unicodedata
from dataclasses import replace
from urllib.parse import quote, urlencode

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from bot.domain.candidates import CandidateStatus, Decision, Verdict
from bot.domain.errors import StaleVerdictError
from bot.ports import Change, Desk, Order, SongQuery
from bot.studio.cards import card_view, song_view
from bot.studio.forms import Form, choice, one, read_form
from bot.studio.security import is_own, is_token
from bot.studio.site import MAX_EDIT, Site, site_of, wants_fragment

_ALL = "all"
_EMPTY = {
    CandidateStatus.WAITING: (
        "No candidates wait",
        "Every candidate has a verdict. `deephypebot bot run` adds new ones; the header of this page counts them.",
    ),
    CandidateStatus.ACCEPTED: (
        "No accepted candidates yet",
        "Accepted candidates are listed here until an undo.",
    ),
    CandidateStatus.REJECTED: ("No rejected candidates", "Rejected candidates are listed here; undo returns them."),
    None: ("The queue is empty", "The bot has not generated anything yet: `deephypebot bot run` fills the queue."),
}


def queue_page(request: Request) -> Response:
    """GET /: songs with their candidates."""
    site, params = site_of(request), request.query_params
    name = params.get("status", CandidateStatus.WAITING.value)
    status = None if name == _ALL else choice(CandidateStatus, "status", name, CandidateStatus.WAITING)
    order = choice(Order, "order", params.get("order", ""), Order.OLDEST)
    after = params.get("after", "")
    with site.parts.open_desk() as desk:
        page = desk.songs(SongQuery(status=status, order=order, after=after))
        counts = desk.counts()
    name = _ALL if status is None else status.value
    shown = {"status": name, "order": order.value}
    return site.page(
        "queue",
        "queue.html",
        heading="Queue" if status is None else f"Queue: {status}",
        songs=[song_view(song, site) for song in page.songs],
        counts=counts,
        status=name,
        order=order.value,
        empty=("End of the queue", "There are no more songs.") if after else _EMPTY[status],
        back=_address(**shown, **({"after": after} if after else {})),
        first_page=_address(**shown) if after else "",
        next_page=_address(**shown, after=page.songs[-1].place) if page.more else "",
    )


def waiting_count(request: Request) -> Response:
    """GET /waiting: the number of waiting candidates, for the header of an open page."""
    site = site_of(request)
    with site.parts.open_desk() as desk:
        return site.page("queue", "_waiting.html", counts=desk.counts())


async def decide(request: Request) -> Response:
    """POST /verdicts: accept, reject or undo candidates; a single accepted one may have an edited text.

    Along with an accepted one, candidates in `rest` are rejected in the same step.
    """
    site = site_of(request)
    if not is_own(request.headers):
        raise HTTPException(403, "verdicts are given on the studio's own pages only")
    form = await read_form(request)
    if not is_token(one(form, "token"), site.token):
        raise HTTPException(403, "this page is older than the running studio: reload it, and decide again")
    changes = _changes(form, site.parts.who)
    return await run_in_threadpool(_record, request, site, form, changes)


def _record(request: Request, site: Site, form: Form, changes: list[Change]) -> Response:
    ids = [change.verdict.candidate_id for change in changes]
    back = _own_address(one(form, "back"))
    with site.parts.open_desk() as desk:
        stale = ""
        try:
            desk.change([_checked(change, desk, site) for change in changes])
        except StaleVerdictError as error:
            if not wants_fragment(request):
                raise
            stale = str(error)
        if not wants_fragment(request):
            return RedirectResponse(f"{back}#c-{quote(ids[0])}", 303)
        cards = [card_view(row, site) for row in desk.rows(ids)]
        response = site.page("queue", "cards.html", cards=cards, counts=desk.counts(), back=back)
    if stale:
        # The cards are sent as well, so that the page is updated.
        response.status_code = 409
        response.headers["x-studio-message"] = quote(stale)
    return response


def _changes(form: Form, who: str) -> list[Change]:
    decision = one(form, "decision")
    if decision not in set(Decision):
        raise HTTPException(400, f"decision must be one of {', '.join(Decision)}, got {decision[:60]!r}")
    ids, seen = form.get("candidate", []), form.get("seen", [])
    if not ids or len(ids) != len(seen) or not all(map(_is_number, seen)):
        raise HTTPException(400, "a verdict needs candidates, each with the number of the verdict that was seen before")
    text = None
    if "text" in form:
        if len(ids) != 1 or decision != Decision.ACCEPT:
            raise HTTPException(400, "an edited text needs exactly one candidate, and the decision accept")
        text = _edited(one(form, "text"))
    rest, rest_seen = form.get("rest", []), form.get("rest_seen", [])
    if rest and (decision != Decision.ACCEPT or len(rest) != len(rest_seen) or not all(map(_is_number, rest_seen))):
        raise HTTPException(400, "a rest that is rejected needs an accepted candidate, and the verdicts that were seen")
    given = Verdict(candidate_id="", decision=Decision(decision), who=who, edited_text=text)
    rejected = Verdict(candidate_id="", decision=Decision.REJECT, who=who)
    return [
        # Longer numbers are not those of a verdict and do not fit SQLite's integers.
        Change(verdict=replace(verdict, candidate_id=name), seen=int(number[:18]))
        for verdict, names, numbers in ((given, ids, seen), (rejected, rest, rest_seen))
        for name, number in zip(names, numbers, strict=True)
    ]


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit()


def _checked(change: Change, desk: Desk, site: Site) -> Change:
    """Drop an edited text that equals the sample's, and refuse a text that may not be posted as it is."""
    verdict = change.verdict
    if verdict.decision is not Decision.ACCEPT:
        return change
    (row,) = desk.rows([verdict.candidate_id])
    sample = row.row.candidate.sample.text
    edited = None if verdict.edited_text == sample else verdict.edited_text
    # Without an edit the sample is accepted, even if an earlier verdict had another text.
    if objection := site.parts.rules.objection_to(row.row, sample if edited is None else edited):
        raise HTTPException(400, objection)
    return replace(change, verdict=replace(verdict, edited_text=edited))


def _edited(text: str) -> str:
    plain = text.replace("\r\n", "\n").replace("\r", "\n").strip()
    if not plain:
        raise HTTPException(400, "an edited text must not be empty; to drop the candidate, reject it")
    if len(plain) > MAX_EDIT:
        raise HTTPException(400, f"an edited text has at most {MAX_EDIT} characters, got {len(plain)}")
    if any(unicodedata.category(character) in {"Cc", "Cs"} and character != "\n" for character in plain):
        raise HTTPException(400, "an edited text must not contain control characters")
    return plain


def _own_address(address: str) -> str:
    """Return the address to go back to if it is the studio's; any other would redirect the browser to another site."""
    return address if address.startswith("/?") or address == "/posted" else "/"


def _address(**values: str) -> str:
    return f"/?{urlencode(values)}"
