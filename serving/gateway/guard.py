"""Guard of every call but health checks: the client's token and limits, before its message is read."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeAlias

import grpc
from grpc_health.v1 import health
from typing_extensions import override

from serving.gateway.handler_kinds import Handler, kind_of
from serving.gateway.refusals import refuse
from serving.security.access import Access, AccessError, Permit

_Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"

_OPEN: Final = f"/{health.SERVICE_NAME}/"
"""Methods that everybody may call: probes and balancers have no token, and the answer says nothing of models' texts."""
_AUTHORIZATION: Final = "authorization"


class Guard(grpc.aio.ServerInterceptor):
    """Interceptor that asks for access to each call, and holds it until the call has ended.

    Args:
        access: who may ask.
    """

    def __init__(self, access: Access) -> None:
        self._access = access
        self._handlers: dict[str, Handler] = {}

    @override
    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Handler | None]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Handler | None:
        method: Any = handler_call_details.method
        if method.startswith(_OPEN):
            return await continuation(handler_call_details)
        known = self._handlers.get(method)
        if known is not None:
            return known
        handler = await continuation(handler_call_details)
        if handler is None:
            return None
        self._handlers[method] = guarded = self._guarded(handler)
        return guarded

    def _guarded(self, handler: Handler) -> Handler:
        # One message is read after the check, so that refusing it costs nothing; of several, each is read as it comes.
        late, early = handler.request_deserializer, None
        if handler.request_streaming:
            late, early = early, late
        make, answer = kind_of(handler)
        guarded: Any = self._call(answer, late or _unchanged)
        made: Handler = make(guarded, early, handler.response_serializer)
        return made

    def _call(self, answer: Callable[..., Any], read: Callable[[Any], Any]) -> Callable[..., Any]:
        """Guard an answer: a coroutine, as those that `Reception` makes of all."""

        async def call(message: Any, context: _Context) -> Any:
            permit = await self._enter(context)
            try:
                return await answer(read(message), context)
            finally:
                permit.close()

        return call

    async def _enter(self, context: _Context) -> Permit:
        authorization: Any = None
        for key, value in context.invocation_metadata() or ():
            if key == _AUTHORIZATION:
                authorization = value
        try:
            return self._access.enter(authorization, context.peer())
        except AccessError as fault:
            await refuse(
                context,
                fault.code,
                str(fault),
                retry_after_ms=fault.retry_after_ms,
                kind=fault.reason.upper(),
                facts={} if fault.limit is None else {"limit": f"{fault.limit:g}"},
            )


def _unchanged(message: Any) -> Any:
    return message
