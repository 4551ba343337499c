"""Page of the queue, and the verdicts given on it."""

from __future__ import annotations

from dataclasses import replace
from urllib.parse import quote

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from bot.domain.candidates import CandidateStatus, Decision, RejectReason, Verdict
from bot.domain.errors import StaleVerdictError
from bot.domain.post_text import as_written
from bot.ports import Change, Desk, DeskRow, Order
from bot.studio.cards import card_view, song_view
from bot.studio.curators import progress_line, progress_of
from bot.studio.filters import FLAGS, QueueAddress
from bot.studio.forms import Form, choice, one, own_address, own_form
from bot.studio.site import MAX_EDIT, Site, site_of, wants_fragment
from bot.studio.songs import find_corrected

_ORDERS = ((Order.OLDEST, "Oldest first"), (Order.NEWEST, "Newest first"), (Order.BEST, "Best score first"))
_END = ("End of the queue", "There are no more songs behind this one.")
_NOTHING_FOUND = ("Nothing found", "No candidate of this status passes the filters above.")
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
    site, address = site_of(request), QueueAddress(request.query_params)
    status = address.query.status
    with site.parts.open_desk() as desk:
        page = desk.songs(address.query)
        counts = desk.counts()
        tallies = desk.versions()
        progress = progress_of(desk, site.who)
        corrected = find_corrected(desk, request.query_params.get("corrected", ""))
        shown = site.for_cards(desk, tallies)
    pages = address.pages(page)
    empty = _NOTHING_FOUND if address.wanted else _EMPTY[status]
    return site.page(
        "queue",
        "queue.html",
        heading="Queue" if status is None else f"Queue: {status}",
        songs=[song_view(song, shown) for song in page.songs],
        counts=counts,
        address=address,
        pages=pages,
        chips=address.chips(),
        orders=_ORDERS,
        flags=FLAGS,
        # Only versions of which something is decided, and not where candidates wait alone.
        versions=[f"{each.model}/{each.model_version}" for each in tallies if each.accepted + each.rejected],
        progress=progress_line(progress),
        corrected=corrected,
        empty=_END if page.total and not page.songs else empty,
        back=str(address),
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
    form = await own_form(request)
    changes = _changes(form, site.who)
    return await run_in_threadpool(_record, request, site, form, changes)


def _record(request: Request, site: Site, form: Form, changes: list[Change]) -> Response:
    ids = [change.verdict.candidate_id for change in changes]
    back = own_address(one(form, "back"))
    with site.parts.open_desk() as desk:
        stale = ""
        try:
            desk.change([_checked(change, desk, site, is_one_of_many=len(changes) > 1) for change in changes])
        except StaleVerdictError as error:
            if not wants_fragment(request):
                raise
            stale = str(error)
        if not wants_fragment(request):
            return RedirectResponse(f"{back}#c-{quote(ids[0])}", 303)
        shown = site.for_cards(desk, desk.versions())
        rows = desk.rows(ids)
        if any(_tells(row) for row in rows):
            rows += desk.rows(desk.told_with(ids))
        cards = [card_view(row, shown) for row in rows]
        response = site.page("queue", "cards.html", cards=cards, counts=desk.counts(), back=back)
    if stale:
        # The cards are sent as well, so that the page is updated.
        response.status_code = 409
        response.headers["x-studio-message"] = quote(stale)
    return response


def _tells(row: DeskRow) -> bool:
    """Whether the state of a candidate may show, or take away, the versions of its song on other cards."""
    candidate = row.row.candidate
    return bool(candidate.experiment) and (candidate.status is CandidateStatus.WAITING or not candidate.is_blind)


def _changes(form: Form, who: str) -> list[Change]:
    decision = one(form, "decision")
    if decision not in set(Decision):
        raise HTTPException(400, f"decision must be one of {', '.join(Decision)}, got {decision[:60]!r}")
    ids, seen = _chosen(form)
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
    reason = choice(RejectReason, "reason", one(form, "reason"), None)
    if reason is not None and decision != Decision.REJECT:
        raise HTTPException(400, f"a reason is for the decision reject, got {decision}")
    given = Verdict(
        candidate_id="", decision=Decision(decision), who=who, edited_text=text, reason=reason.value if reason else ""
    )
    rejected = Verdict(candidate_id="", decision=Decision.REJECT, who=who)
    return [
        # Longer numbers are not those of a verdict and do not fit SQLite's integers.
        Change(verdict=replace(verdict, candidate_id=name), seen=int(number[:18]))
        for verdict, names, numbers in ((given, ids, seen), (rejected, rest, rest_seen))
        for name, number in zip(names, numbers, strict=True)
    ]


def _chosen(form: Form) -> tuple[list[str], list[str]]:
    """Candidates of a form with the verdicts that were seen; of a selection each is one field, such as `0:17.1.2`."""
    picks = [pick.partition(":") for pick in form.get("pick", [])]
    seen, ids = [number for number, _, _ in picks], [name for _, _, name in picks]
    return [*form.get("candidate", []), *ids], [*form.get("seen", []), *seen]


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit()


def _checked(change: Change, desk: Desk, site: Site, *, is_one_of_many: bool) -> Change:
    """Drop an edited text that equals the sample's, and refuse a text that may not be posted as it is."""
    verdict = change.verdict
    if verdict.decision is not Decision.ACCEPT:
        return change
    (row,) = desk.rows([verdict.candidate_id])
    sample = row.row.candidate.sample.text
    edited = None if verdict.edited_text == sample else verdict.edited_text
    # Without an edit the sample is accepted, even if an earlier verdict had another text.
    if objection := site.parts.rules.objection_to(row.row, sample if edited is None else edited):
        raise HTTPException(
            400, f"{verdict.candidate_id}: {objection}; nothing was changed" if is_one_of_many else objection
        )
    return replace(change, verdict=replace(verdict, edited_text=edited))


def _edited(text: str) -> str:
    plain = as_written(text)
    if not plain:
        raise HTTPException(400, "an edited text must not be empty; to drop the candidate, reject it")
    if len(plain) > MAX_EDIT:
        raise HTTPException(400, f"an edited text has at most {MAX_EDIT} characters, got {len(plain)}")
    return plain
