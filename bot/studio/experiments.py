"""Page of the experiments, and their whole reports as documents without any rights."""

from __future__ import annotations

from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from bot.ports import ExperimentReport, UnreadableReport
from bot.studio.security import REPORT_POLICY
from bot.studio.site import Site, site_of

_NO_PAGE: Final = "The whole report of {name!r} is not there: `deephypebot experiment report {name}` writes it."


def experiments_page(request: Request) -> Response:
    """GET /experiments: what each experiment found so far."""
    return _page(site_of(request))


def report_page(request: Request) -> Response:
    """GET /experiments/NAME: the whole report, which may run nothing and load nothing.

    It is another program's document. The policy takes its scripts, forms and origin away and leaves it its own style.
    """
    site, name = site_of(request), request.path_params["name"]
    page = site.parts.reports.page(name)
    if page is None:
        return _page(site, notice=_NO_PAGE.format(name=name), status_code=404)
    return Response(page, media_type="text/html; charset=utf-8", headers={"Content-Security-Policy": REPORT_POLICY})


def _page(site: Site, *, notice: str = "", status_code: int = 200) -> Response:
    found = site.parts.reports.all()
    with site.parts.open_desk() as desk:
        counts = desk.counts()
    return site.page(
        "experiments",
        "experiments.html",
        status_code=status_code,
        reports=[each for each in found if isinstance(each, ExperimentReport)],
        unreadable=[each for each in found if isinstance(each, UnreadableReport)],
        notice=notice,
        counts=counts,
    )
