"""Call log and fault injection, common to all stand-ins.

A fault is queued for an operation ("x.create_tweet", or a pattern such as "sheets.*") and affects its next call:

    kind       result for the client
    status     an error in the service's own format: `status`, `headers`
    html       the same status with an HTML page, as from a proxy in front of the service
    truncated  an incomplete answer: the connection ends within the body
    json       `status` with `document` as the body
    hang       no answer for `delay_s` seconds, then 504
    hold       no answer until `release`, which brings the normal answer, or until the client disconnects
    expired    401, and the access token becomes invalid

With `applied` the operation is carried out first. `skip` is the number of calls to pass over, `times` the number to
affect.
"""

from __future__ import annotations

import asyncio
import base64
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from fnmatch import fnmatchcase
from typing import Any

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from bot.sandbox.answers import JSONResponse

Handler = Callable[[Request], Awaitable[Response]]
_LOGGED = 10_000
_RECORDED = 1_000
_POLL_S = 0.02
_CLIENT_GONE = 499
"""Status of a call whose client disconnected, for the log."""
_PAGE = "<!DOCTYPE html><html><head><title>{0}</title></head><body><h1>{0}</h1><p>Please try again.</p></body></html>"


class FaultKind(StrEnum):
    """Kind of a fault; the module's docstring describes each."""

    STATUS = "status"
    HTML = "html"
    TRUNCATED = "truncated"
    JSON = "json"
    HANG = "hang"
    HOLD = "hold"
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """Fault of a future call.

    Raises:
        ValueError: `kind` is not a `FaultKind`, or `times` or `skip` is out of range.
    """

    operation: str
    """Name or pattern of the operations that the fault may affect."""
    kind: FaultKind
    status: int = 503
    headers: Mapping[str, str] = field(default_factory=dict)
    document: Any = None
    applied: bool = False
    """Whether the operation is carried out nevertheless."""
    delay_s: float = 60.0
    skip: int = 0
    times: int = 1

    def __post_init__(self) -> None:
        object.__setattr__(self, "kind", FaultKind(self.kind))
        if self.times < 1 or self.skip < 0:
            raise ValueError(f"times must be at least 1 and skip at least 0, got {self.times} and {self.skip}")


@dataclass(slots=True)
class _Queued:
    fault: Fault
    skip: int
    times: int


class FaultQueue:
    """Queue of faults that wait for their calls, the oldest first."""

    def __init__(self) -> None:
        self._waiting: list[_Queued] = []

    def add(self, fault: Fault) -> None:
        """Queue a fault behind the others."""
        self._waiting.append(_Queued(fault, fault.skip, fault.times))

    def take(self, operation: str) -> Fault | None:
        """Return the fault for a call; None without one."""
        for queued in self._waiting:
            if not fnmatchcase(operation, queued.fault.operation):
                continue
            if queued.skip:
                queued.skip -= 1
                continue
            queued.times -= 1
            if not queued.times:
                self._waiting.remove(queued)
            return queued.fault
        return None

    def __len__(self) -> int:
        return len(self._waiting)


@dataclass(slots=True, kw_only=True)
class Call:
    """A call to a stand-in."""

    number: int
    operation: str
    at: float
    """Arrival in seconds since the epoch."""
    status: int | None = None
    """HTTP status of the answer; None while the call is in flight."""
    fault: str | None = None
    held: bool = False
    applied: bool = False
    """Whether the operation was carried out."""


class CallLog:
    """Log of the latest calls and, if `record` is set, of their full requests and responses."""

    def __init__(self, *, record: bool = False) -> None:
        self.calls: deque[Call] = deque(maxlen=_LOGGED)
        self.exchanges: deque[dict[str, Any]] = deque(maxlen=_RECORDED)
        self._record = record
        self._count = 0

    def begin(self, operation: str) -> Call:
        """Log a call."""
        self._count += 1
        call = Call(number=self._count, operation=operation, at=time.time())
        self.calls.append(call)
        return call

    async def end(self, call: Call, request: Request, response: Response) -> None:
        """Log the answer of a call."""
        call.status = response.status_code
        if self._record:
            self.exchanges.append(await _exchange(call, request, response))

    def documents(self) -> list[dict[str, Any]]:
        """Return the calls as JSON objects."""
        return [asdict(call) for call in self.calls]

    def clear(self) -> None:
        """Delete all calls except those in flight."""
        running = [call for call in self.calls if call.status is None]
        self.calls.clear()
        self.calls.extend(running)
        self.exchanges.clear()


async def _exchange(call: Call, request: Request, response: Response) -> dict[str, Any]:
    return {
        "operation": call.operation,
        "fault": call.fault,
        "method": request.method,
        "url": str(request.url),
        "headers": dict(request.headers),
        "body": base64.b64encode(await request.body()).decode(),
        "status": response.status_code,
        "response_headers": dict(response.headers),
        "response_body": base64.b64encode(bytes(response.body)).decode(),
    }


class StandIn(ABC):
    """Stand-in for one network."""

    name: str
    """First part of the names of the network's operations."""

    @abstractmethod
    def operations(self) -> Mapping[str, tuple[str, str, Handler]]:
        """Return the HTTP method, path and handler of each operation."""

    @abstractmethod
    def error(self, status: int, headers: Mapping[str, str] | None = None) -> Response:
        """Return an error in the network's own format."""

    def forget_tokens(self) -> None:  # noqa: B027 -- tokens of some networks never expire
        """Invalidate every access token that was issued."""


class LookupStandIn(StandIn):
    """Stand-in for a service that knows artists.

    Args:
        section: what `section` returned.
        enforce_limits: whether calls beyond the service's limits are refused.
    """

    @abstractmethod
    def __init__(self, section: Mapping[str, str], *, enforce_limits: bool = True) -> None: ...

    @classmethod
    @abstractmethod
    def section(cls, url: str) -> dict[str, str]:
        """New credentials, and the stand-in's addresses: a section of a bot's settings.

        Args:
            url: base address of all stand-ins.
        """


class Gate:
    """Gate between the routes and the stand-ins: logs calls and injects faults."""

    def __init__(self, *, record: bool = False) -> None:
        self.faults = FaultQueue()
        self.log = CallLog(record=record)
        self._released = asyncio.Event()

    def routes(self, stand_in: StandIn) -> list[Route]:
        """Return the routes of a network."""
        return [
            Route(path, self._endpoint(stand_in, f"{stand_in.name}.{name}", handler), methods=[method])
            for name, (method, path, handler) in stand_in.operations().items()
        ]

    def release(self) -> None:
        """Continue the calls that are held now."""
        self._released.set()
        self._released = asyncio.Event()

    def _endpoint(self, stand_in: StandIn, operation: str, handler: Handler) -> Handler:
        async def endpoint(request: Request) -> Response:
            # The body is read first, because waiting for a disconnect would consume it.
            await request.body()
            call = self.log.begin(operation)
            fault = self.faults.take(operation)
            response = await (
                handler(request) if fault is None else self._fail(stand_in, call, fault, handler, request)
            )
            call.applied = call.applied or fault is None
            await self.log.end(call, request, response)
            return response

        return endpoint

    async def _fail(self, stand_in: StandIn, call: Call, fault: Fault, handler: Handler, request: Request) -> Response:
        call.fault = fault.kind
        response = None
        if fault.applied:
            response, call.applied = await handler(request), True
        if fault.kind is not FaultKind.HOLD:
            return await _failure(stand_in, fault)
        if not await self._hold(call, request):
            return Response(status_code=_CLIENT_GONE)
        if response is None:
            response, call.applied = await handler(request), True
        return response

    async def _hold(self, call: Call, request: Request) -> bool:
        """Hold a call until `release`; return whether the client is still connected."""
        released, call.held = self._released, True
        try:
            while not released.is_set():
                if await request.is_disconnected():
                    return False
                await asyncio.sleep(_POLL_S)
        finally:
            call.held = False
        return True


async def _failure(stand_in: StandIn, fault: Fault) -> Response:
    if fault.kind is FaultKind.HANG:
        await asyncio.sleep(fault.delay_s)
        return stand_in.error(504)
    if fault.kind is FaultKind.EXPIRED:
        stand_in.forget_tokens()
        return stand_in.error(401)
    if fault.kind is FaultKind.HTML:
        return HTMLResponse(_PAGE.format(fault.status), fault.status, headers=dict(fault.headers))
    if fault.kind is FaultKind.TRUNCATED:
        return _TruncatedResponse()
    if fault.kind is FaultKind.JSON:
        return JSONResponse(fault.document, fault.status, headers=dict(fault.headers))
    return stand_in.error(fault.status, fault.headers)


class _TruncatedResponse(Response):
    """Response that announces a body and sends its first byte only, so that the server closes the connection."""

    def __init__(self) -> None:
        super().__init__(b"{", media_type="application/json", headers={"content-length": "1000"})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the first byte of the body."""
        await super().__call__(scope, receive, send)
