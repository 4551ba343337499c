"""Page of outgoing posts: sent, pending, in doubt, refused."""

from __future__ import annotations

from urllib.parse import urlencode

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from bot.domain.networks import NETWORKS
from bot.domain.outgoing_posts import OutgoingPostStatus
from bot.ports import PostRow
from bot.studio.cards import source_link
from bot.studio.forms import choice
from bot.studio.site import site_of

_ALL = "all"
_LABELS = {
    OutgoingPostStatus.PENDING: ("To send", "accepted, and will be sent"),
    OutgoingPostStatus.SENDING: ("Sending", "a call is in flight"),
    OutgoingPostStatus.SENT: ("Sent", "known to be sent"),
    OutgoingPostStatus.UNKNOWN: ("In doubt", "may have been sent: looked up before anything is sent again"),
    OutgoingPostStatus.REFUSED: ("Refused", "will not be sent"),
    OutgoingPostStatus.CANCELLED: ("Cancelled", "the verdict was taken back, or is too old"),
}
_LABELS_OF_NETWORKS = {network.name: network.label for network in NETWORKS.values()}


def posted_page(request: Request) -> Response:
    """GET /posted: outgoing posts, the newest first."""
    site, params = site_of(request), request.query_params
    name = params.get("status", _ALL)
    status = None if name == _ALL else choice(OutgoingPostStatus, "status", name, OutgoingPostStatus.SENT)
    before = params.get("before", "")
    if before and not (before.isascii() and before.isdigit() and len(before) <= 18):
        raise HTTPException(400, f"before must be the number of a post, got {before[:60]!r}")
    with site.parts.open_desk() as desk:
        page = desk.posts(status=status, before=int(before) if before else None)
        counts = desk.counts()
    name = _ALL if status is None else status.value
    return site.page(
        "posted",
        "posted.html",
        posts=page.rows,
        tallies=page.counts,
        total=sum(page.counts.values()),
        status=name,
        not_posting=site.parts.not_posting,
        labels=_LABELS,
        networks=_LABELS_OF_NETWORKS,
        counts=counts,
        post_link=post_link,
        source_link=source_link,
        first_page=f"/posted?{urlencode({'status': name})}" if before else "",
        next_page=f"/posted?{urlencode({'status': name, 'before': page.rows[-1].place})}" if page.more else "",
    )


def post_link(row: PostRow) -> str:
    """The web address of a post; empty if its id does not lead to one."""
    network = NETWORKS.get(row.post.network)
    return network.url_of(row.post.external_id or "") if network is not None else ""
