"""Page of outgoing posts: those to send, with what they wait for; sent, in doubt, refused."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import quote, urlencode

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from bot.domain.networks import NETWORKS
from bot.domain.outgoing_posts import OutgoingPost, OutgoingPostStatus
from bot.ports import Desk, DeskRow, PostPage, PostRow
from bot.services.post_waits import PostWait, WaitReport
from bot.studio.cards import source_link
from bot.studio.forms import choice, one, own_address, own_form
from bot.studio.site import Site, site_of

_ALL = "all"
_MOST, _FEW = 100, 10
"""Maximum posts to send that are listed on their own page, and before the others."""
_LABELS = {
    OutgoingPostStatus.PENDING: ("To send", "accepted, and will be sent"),
    OutgoingPostStatus.SENDING: ("Sending", "a call is in flight"),
    OutgoingPostStatus.SENT: ("Sent", "known to be sent"),
    OutgoingPostStatus.UNKNOWN: ("In doubt", "may have been sent: looked up before anything is sent again"),
    OutgoingPostStatus.REFUSED: ("Refused", "will not be sent"),
    OutgoingPostStatus.CANCELLED: ("Cancelled", "the verdict was taken back, or is too old"),
}
_LABELS_OF_NETWORKS = {network.name: network.label for network in NETWORKS.values()}


@dataclass(frozen=True, slots=True, kw_only=True)
class PostView:
    """View of a post."""

    row: PostRow
    text: str
    """The post as it was sent or will be sent."""
    wait: PostWait | None
    """Reason why it is not sent yet; None if it is not to be sent."""


def posted_page(request: Request) -> Response:
    """GET /posted: outgoing posts, the newest first; those to send in the order in which they leave."""
    site, params = site_of(request), request.query_params
    name = params.get("status", _ALL)
    status = None if name == _ALL else choice(OutgoingPostStatus, "status", name, OutgoingPostStatus.SENT)
    before, after = (_place(params.get(key, ""), key) for key in ("before", "after"))
    if before is not None and after is not None:
        raise HTTPException(400, f"a page is before or after a post, got before {before} and after {after}")
    with site.parts.open_desk() as desk:
        waits = site.parts.waits.read(desk)
        # Those to send have an order of their own, and are before all others.
        page = desk.posts(status=status, without=OutgoingPostStatus.PENDING, before=before, after=after)
        is_first = before is None and not page.newer
        room = _MOST if status is OutgoingPostStatus.PENDING else _FEW if status is None and is_first else 0
        coming = _to_send(site, desk, waits, room)
        counts = desk.counts()
    if status is OutgoingPostStatus.PENDING:
        page = PostPage(rows=(), more=False, counts=page.counts)
    tallies = {**page.counts, OutgoingPostStatus.PENDING: len(waits.posts)}
    name = _ALL if status is None else status.value
    return site.page(
        "posted",
        "posted.html",
        posts=[*coming, *(_view(site, row, waits) for row in page.rows)],
        more_to_send=len(waits.posts) - len(coming) if coming else 0,
        tallies=tallies,
        total=sum(tallies.values()),
        status=name,
        notes=waits.notes if waits.posts else (),
        labels=_LABELS,
        networks=_LABELS_OF_NETWORKS,
        counts=counts,
        post_link=post_link,
        source_link=source_link,
        pages=_pages(name, page, is_first=is_first),
    )


def _place(text: str, name: str) -> int | None:
    """The number of a post in an address."""
    if text and not (text.isascii() and text.isdigit() and len(text) <= 18):
        raise HTTPException(400, f"{name} must be the number of a post, got {text[:60]!r}")
    return int(text) if text else None


def _pages(status: str, page: PostPage, *, is_first: bool) -> Mapping[str, str]:
    """Addresses of the pages beside this one, each empty if there is none."""

    def address(**place: int) -> str:
        return f"/posted?{urlencode({'status': status, **place})}"

    return {
        "first": "" if is_first else address(),
        "previous": address(after=page.rows[0].place) if page.newer and page.rows else "",
        "next": address(before=page.rows[-1].place) if page.more else "",
    }


def _to_send(site: Site, desk: Desk, waits: WaitReport, most: int) -> list[PostView]:
    """The posts to send, the next one first and those that wait for a person last."""
    rows = desk.rows([post.candidate_id for post in waits.by_departure()[:most]])
    return [_view(site, _pending_row(row), waits) for row in rows]


def _view(site: Site, row: PostRow, waits: WaitReport) -> PostView:
    post = row.post
    is_whole = post.is_whole or post.status is not OutgoingPostStatus.PENDING
    text = post.text if is_whole else site.parts.rules.form.preview(row.draft).text
    return PostView(row=row, text=text, wait=waits.find(post.candidate_id))


def _pending_row(row: DeskRow) -> PostRow:
    """The post of an accepted candidate, which no pass of the bot may have made yet."""
    return PostRow(
        place=0,
        post=OutgoingPost(candidate_id=row.row.candidate.id, text=row.row.text),
        report=row.row.candidate.report,
        source_post=row.row.source_post,
        verdict_id=row.verdict_id,
        created_at=row.row.decided_at or row.row.created_at,
        sent_at=None,
    )


def post_link(row: PostRow) -> str:
    """The web address of a post; empty if its id does not lead to one."""
    network = NETWORKS.get(row.post.network)
    return network.url_of(row.post.external_id or "") if network is not None else ""


async def confirm(request: Request) -> Response:
    """POST /confirm: let accepted posts leave although there are others about their songs."""
    site, form = site_of(request), await own_form(request)
    names = form.get("candidate", [])
    if not names:
        raise HTTPException(400, "a confirmation needs a candidate")
    await run_in_threadpool(_confirm, site, names)
    return RedirectResponse(f"{own_address(one(form, 'back'))}#c-{quote(names[0])}", 303)


def _confirm(site: Site, names: Sequence[str]) -> None:
    with site.parts.open_desk() as desk:
        desk.confirm(names, site.who)
