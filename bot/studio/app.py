"""The studio's web application: routes, middleware and error pages."""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from bot.domain.errors import BotError, InputError, StaleVerdictError, UnknownCandidateError
from bot.studio.access import RequireToken
from bot.studio.curators import choose_name, look
from bot.studio.experiments import experiments_page, report_page
from bot.studio.live import changed_cards, preview
from bot.studio.models import models_page
from bot.studio.posted import confirm, posted_page
from bot.studio.queue import decide, queue_page, waiting_count
from bot.studio.security import ALLOWED_HOSTS, SecurityHeaders
from bot.studio.site import Site, StudioParts, site_of, wants_fragment
from bot.studio.songs import correct
from bot.studio.trying import add_to_queue, try_page

_HEADINGS = {
    400: "The request is invalid",
    403: "The request is forbidden",
    404: "Not found",
    405: "Not found",
    409: "Already decided",
    413: "The request is too long",
    415: "The request is invalid",
    503: "Unavailable",
}


def build_app(parts: StudioParts, *, access_token: str | None = None) -> Starlette:
    """Build the application; it serves pages to this machine only, or to those who know a token."""
    site = Site(parts)
    app = Starlette(
        routes=[
            Route("/", queue_page),
            Route("/waiting", waiting_count),
            Route("/verdicts", decide, methods=["POST"]),
            Route("/changed", changed_cards, methods=["POST"]),
            Route("/preview", preview, methods=["POST"]),
            Route("/songs", correct, methods=["POST"]),
            Route("/curator", choose_name, methods=["POST"]),
            Route("/look", look, methods=["POST"]),
            Route("/posted", posted_page),
            Route("/confirm", confirm, methods=["POST"]),
            Route("/try", try_page),
            Route("/try", add_to_queue, methods=["POST"]),
            Route("/models", models_page),
            Route("/experiments", experiments_page),
            Route("/experiments/{name}", report_page),
            *site.assets.routes(),
        ],
        middleware=[Middleware(SecurityHeaders), *_protection(access_token)],
        exception_handlers={HTTPException: _http_fault, BotError: _bot_fault},
    )
    app.state.site = site
    return app


def _protection(access_token: str | None) -> list[Middleware]:
    """Protection from requests of strangers: by the name of the host, which is known on loopback, or by the token."""
    if access_token is None:
        return [Middleware(TrustedHostMiddleware, allowed_hosts=ALLOWED_HOSTS, www_redirect=False)]
    # A name that was rebound to this machine has no cookie of the login.
    return [Middleware(RequireToken, token=access_token)]


def _http_fault(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 -- by its registration
    return _fault(request, error.status_code, error.detail)


def _bot_fault(request: Request, error: Exception) -> Response:
    match error:
        case UnknownCandidateError():
            status_code = 404
        case StaleVerdictError():
            status_code = 409
        case InputError():
            status_code = 400
        case _:  # the database or the model server
            status_code = 503
    return _fault(request, status_code, str(error))


def _fault(request: Request, status_code: int, message: str) -> Response:
    if wants_fragment(request):
        return PlainTextResponse(message, status_code)
    heading = _HEADINGS.get(status_code, "Error")
    return site_of(request).page("", "fault.html", status_code=status_code, heading=heading, message=message)
