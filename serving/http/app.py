"""Application of the door: routes, checks of what arrives, and the gateway's answers as JSON.

    POST /v1/models/{model}:generate                        samples of the version that the model's shares give
    POST /v1/models/{model}/versions/{version}:generate     samples of a pinned version
    GET  /v1/models, /v1/models/{model}                     live models and versions, limits of a request
    POST /webhooks/mlflow                                   a change of the registry, which wakes the poll
    GET  /healthz, /readyz                                  whether the process runs; whether it can answer
    GET  /openapi.json                                      description of all of them

The paths follow the custom methods of Google's API guide (AIP-136).
"""

from __future__ import annotations

import asyncio
import logging
import math
import re
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Final, TypeVar

import grpc
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from foundation.loopback import is_loopback
from serving.gateway.reception import SHUTTING_DOWN
from serving.gateway.server import Gateway
from serving.http.bodies import MAX_BODY_BYTES, json_object, read_body
from serving.http.messages import message_response, request_message
from serving.http.openapi import openapi_document
from serving.http.problems import ProblemError, problem_response
from serving.http.settings import HttpSettings
from serving.http.webhooks import MAX_WEBHOOK_BYTES, WEBHOOK_PATH, WebhookReceiver
from serving.security.access import AccessError
from serving.v1 import commentary_pb2
from serving.workers.faults import InferenceError

_log = logging.getLogger(__name__)
_T = TypeVar("_T")

CLIENT_LEFT: Final = 499
_METHOD_NOT_ALLOWED: Final = 405
_SHOWN: Final = 200
_HOST: Final = re.compile(r"(?P<host>\[[0-9A-Fa-f:.]+\]|[^:\[\]/@]+)(:[0-9]*)?")
TIMEOUT_HEADER: Final = "X-Request-Timeout"
"""Header of a request: time for its answer, in seconds. The gateway's own limit holds as well."""


class HttpApp:
    """Answers to the requests of the door.

    Args:
        gateway: the gateway, whose gRPC service answers in the same way, and to the same clients.
        settings: limits of the door.
        webhooks: receives MLflow's webhooks; None has no route for them.
    """

    def __init__(self, gateway: Gateway, settings: HttpSettings, *, webhooks: WebhookReceiver | None = None) -> None:
        self._gateway = gateway
        self._webhooks = webhooks
        self._settings = settings
        self.responses: Final[dict[str, int]] = {}
        """Number of responses by status."""

    def asgi(self) -> Starlette:
        """Return the application."""
        routes = [
            self._route("/v1/models/{model}/versions/{version}:generate", self._generate, "POST"),
            self._route("/v1/models/{model}:generate", self._generate, "POST"),
            self._route("/v1/models", self._describe, "GET"),
            self._route("/v1/models/{model}", self._describe, "GET"),
            self._route("/healthz", self._healthz, "GET", is_open=True),
            self._route("/readyz", self._readyz, "GET", is_open=True),
            self._route("/openapi.json", self._openapi, "GET", is_open=True),
        ]
        if self._webhooks is not None:
            routes.append(self._route(WEBHOOK_PATH, partial(self._webhook, self._webhooks), "POST", is_open=True))
        app = Starlette(routes=routes, exception_handlers={HTTPException: self._no_route})
        app.router.redirect_slashes = False
        return app

    def _route(
        self,
        path: str,
        answer: Callable[[Request, str], Awaitable[Response]],
        method: str,
        *,
        is_open: bool = False,
    ) -> Route:
        async def endpoint(request: Request) -> Response:
            log = self._gateway.access_log
            if log is None:
                return await answered(request)
            with log.call(f"{method} {path}", _client_of(request)) as access:
                response = await answered(request)
                access.code = str(response.status_code)
                return response

        async def answered(request: Request) -> Response:
            try:
                self._check_host(request)
                with self._entered(request, is_open=is_open):
                    response = await answer(request, _client_of(request))
            except ClientDisconnect:
                response = Response(status_code=CLIENT_LEFT)  # for the count alone
            except asyncio.CancelledError:
                if not self._gateway.reception.is_draining:
                    raise
                response = self._failed(InferenceError(grpc.StatusCode.UNAVAILABLE, SHUTTING_DOWN))
            except Exception as fault:  # noqa: BLE001 - the client gets an answer, and the log the traceback
                response = self._failed(fault)
            return self._counted(response)

        return Route(path, endpoint, methods=[method])

    async def _generate(self, request: Request, client: str) -> Response:
        timeout_s, path = _timeout_of(request), request.path_params
        body = await read_body(request, limit=MAX_BODY_BYTES, timeout_s=self._settings.body_s)
        message = request_message(json_object(body), model=path["model"], version=path.get("version"))
        with self._gateway.in_flight():
            answer = await _unless_left(request, self._answer(message, timeout_s, client, request.headers.items()))
        return message_response(answer)

    async def _answer(
        self,
        message: commentary_pb2.GenerateRequest,
        timeout_s: float | None,
        client: str,
        headers: Iterable[tuple[str, str]],
    ) -> commentary_pb2.GenerateResponse:
        """Ask the gateway, and give up at the deadline as gRPC does."""
        limit_s = self._gateway.deadline_s(timeout_s)
        try:
            async with asyncio.timeout(limit_s):
                return await self._gateway.answer(message, limit_s, client=client, metadata=headers)
        except TimeoutError:
            late = f"the answer did not come within {limit_s:g} s"
            raise InferenceError(grpc.StatusCode.DEADLINE_EXCEEDED, late) from None

    async def _describe(self, request: Request, _: str) -> Response:
        return message_response(self._gateway.describe(request.path_params.get("model", "")))

    async def _webhook(self, webhooks: WebhookReceiver, request: Request, _: str) -> Response:
        webhooks.receive(
            request.headers, await read_body(request, limit=MAX_WEBHOOK_BYTES, timeout_s=self._settings.body_s)
        )
        return Response(status_code=204)

    async def _healthz(self, _: Request, __: str) -> Response:
        return JSONResponse({"status": "ok"})

    async def _readyz(self, _: Request, __: str) -> Response:
        if self._gateway.reception.is_draining:
            raise InferenceError(grpc.StatusCode.UNAVAILABLE, SHUTTING_DOWN)
        if not self._gateway.health.serves:
            raise InferenceError(grpc.StatusCode.UNAVAILABLE, "no version of the default model answers now")
        return JSONResponse({"status": "ready"})

    async def _openapi(self, _: Request, __: str) -> Response:
        return JSONResponse(openapi_document(TIMEOUT_HEADER, has_webhooks=self._webhooks is not None))

    async def _no_route(self, request: Request, fault: Exception) -> Response:
        path = request.url.path[:_SHOWN]
        status = fault.status_code if isinstance(fault, HTTPException) else 404
        detail = f"there is nothing at {path}; /openapi.json lists the paths"
        if status == _METHOD_NOT_ALLOWED:
            detail = f"{path} does not take {request.method[:_SHOWN]}; /openapi.json lists the methods"
        headers = dict(fault.headers or {}) if isinstance(fault, HTTPException) else {}
        return self._counted(problem_response(ProblemError(status, detail, headers=headers)))

    def _check_host(self, request: Request) -> None:
        """Refuse the name of another host: a web page whose name was rebound to this machine sends its own."""
        named = request.headers.get("host", "")
        match = _HOST.fullmatch(named)
        if self._settings.is_loopback and not (match and is_loopback(match["host"].strip("[]"))):
            raise ProblemError(
                421, f"the door is for this machine alone, and the header Host names {named[:_SHOWN]!r}", field="Host"
            )

    @contextmanager
    def _entered(self, request: Request, *, is_open: bool) -> Iterator[None]:
        """Hold the client's access for as long as it is answered.

        Raises:
            ProblemError: it may not ask, or not now.
        """
        access = self._gateway.security.access
        if access is None or is_open:
            yield
            return
        try:
            permit = access.enter(request.headers.get("authorization"), _peer_of(request))
        except AccessError as fault:
            problem = ProblemError.of_status(fault.code, str(fault), retry_after_ms=fault.retry_after_ms)
            if fault.code is grpc.StatusCode.UNAUTHENTICATED:
                problem.headers["WWW-Authenticate"] = "Bearer"
            raise problem from None
        try:
            yield
        finally:
            permit.close()

    def _failed(self, fault: BaseException) -> Response:
        """Return the response for a request that failed."""
        if isinstance(fault, ProblemError):
            return problem_response(fault)
        if not isinstance(fault, InferenceError):
            _log.error("the HTTP door failed", exc_info=fault)
            fault = InferenceError(grpc.StatusCode.INTERNAL, "the gateway failed; its log has the reason")
        elif fault.code is grpc.StatusCode.INTERNAL:
            _log.error("%s", fault.message)
        return problem_response(
            ProblemError.of_status(
                fault.code, fault.message, field=fault.field, retry_after_ms=self._gateway.pause_ms(fault)
            )
        )

    def _counted(self, response: Response) -> Response:
        response.headers["X-Content-Type-Options"] = "nosniff"
        response.headers["Cache-Control"] = "no-store"
        status = str(response.status_code)
        self.responses[status] = self.responses.get(status, 0) + 1
        return response


def _client_of(request: Request) -> str:
    """Return the connection of a request, for the gateway's memory of patient ones."""
    peer = request.client
    return f"http:{peer.host}:{peer.port}" if peer is not None else ""


def _peer_of(request: Request) -> str:
    """Return the connection of a request as gRPC writes it, so that an address has the same limits at both doors."""
    peer = request.client
    if peer is None:
        return "http:"
    return f"ipv6:%5B{peer.host}%5D:{peer.port}" if ":" in peer.host else f"ipv4:{peer.host}:{peer.port}"


async def _unless_left(request: Request, work: Awaitable[_T]) -> _T:
    """Return the result of the work, which is cancelled if the client leaves.

    Raises:
        ClientDisconnect: the client has left.
    """
    working, leaving = asyncio.ensure_future(work), asyncio.ensure_future(_departure(request))
    try:
        await asyncio.wait([working, leaving], return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            return working.result()
        raise ClientDisconnect
    finally:
        for task in (working, leaving):
            task.cancel()
        await asyncio.gather(working, leaving, return_exceptions=True)


async def _departure(request: Request) -> None:
    """Wait until the client leaves."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _timeout_of(request: Request) -> float | None:
    """Return the time that a client gives for the answer, in seconds; None if it names none.

    Raises:
        ProblemError: 400: the header is not a number above 0.
    """
    given = request.headers.get(TIMEOUT_HEADER)
    if given is None:
        return None
    try:
        timeout_s = float(given)
    except ValueError:
        timeout_s = math.nan
    if not 0 < timeout_s < math.inf:
        message = f"{TIMEOUT_HEADER}: must be a number of seconds above 0, got {given[:60]!r}"
        raise ProblemError.of_status(grpc.StatusCode.INVALID_ARGUMENT, message, field=TIMEOUT_HEADER)
    return timeout_s
