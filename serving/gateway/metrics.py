"""Metrics of the gateway, for Prometheus.

The names of the `grpc_server_*` metrics are those of the common gRPC middleware, so that ready-made dashboards fit.
"""

from __future__ import annotations

import asyncio
import platform
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeAlias

import grpc
from grpc_health.v1 import health
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info
from typing_extensions import override

from foundation.version import project_version
from serving.gateway.access_log import AccessLog, current_call
from serving.gateway.handler_kinds import Handler, kind_of
from serving.gateway.service_counts import ServiceCounts
from serving.gateway.version_metrics import VersionMetrics
from serving.traffic.drift_book import DriftBook
from serving.traffic.figures import FigureBook

_BUCKETS_S: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_SLACK_S: Final = 0.15
"""Time that may remain when a client's deadline has passed: gRPC rounds a timeout up by 1% when it sends it."""
_ENDLESS: Final = (f"/{health.SERVICE_NAME}/Watch", "/grpc.reflection.")
"""Beginnings of the paths of streams that last for as long as a client likes."""
_CODES: Final = {code.value[0]: code for code in grpc.StatusCode}

_Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"


class GatewayMetrics(grpc.aio.ServerInterceptor):
    """Counts, times and status codes of the gateway's calls, as an interceptor of its server.

    Every call of a registered method is counted once, whatever it ends with, a stream of samples when it ends. Health
    watches, reflection and unknown methods are not counted.

    Args:
        in_flight: returns the number of accepted requests that have no answer yet.
        book: figures of the live versions.
        drift: watch over their traffic.
        access_log: gets a line for each call; None keeps none.
    """

    def __init__(
        self,
        in_flight: Callable[[], int],
        *,
        book: FigureBook | None = None,
        drift: DriftBook | None = None,
        access_log: AccessLog | None = None,
    ) -> None:
        self._access_log = access_log
        self.registry: Final = CollectorRegistry()
        self._handled = Counter(
            "grpc_server_handled_total",
            "Calls that ended, by method and status code.",
            ["grpc_method", "grpc_code"],
            registry=self.registry,
        )
        self._seconds = Histogram(
            "grpc_server_handling_seconds",
            "Time from the arrival of a call to its end.",
            ["grpc_method"],
            buckets=_BUCKETS_S,
            registry=self.registry,
        )
        Gauge(
            "deephypebot_gateway_in_flight", "Accepted requests without an answer yet.", registry=self.registry
        ).set_function(in_flight)
        self.workers_up: Final = Gauge(
            "deephypebot_gateway_torchserve_up",
            "1 if the page of the workers answered this scrape and its metrics follow; 0 if they are missing.",
            registry=self.registry,
        )
        Info("deephypebot_gateway_build", "Version of the gateway.", registry=self.registry).info(
            {"version": project_version(), "python": platform.python_version()}
        )
        self.counts: Final = ServiceCounts()
        """Counts of the service's parts, which are read at each scrape."""
        self.registry.register(self.counts)
        self.registry.register(VersionMetrics(book or FigureBook(), drift or DriftBook()))
        self._measured_handlers: dict[str, tuple[Handler, Handler]] = {}

    @override
    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Handler | None]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Handler | None:
        handler = await continuation(handler_call_details)
        path: str = handler_call_details.method
        if handler is None or path.startswith(_ENDLESS):
            return handler
        # Methods that exist are few, and those that do not have no handler: this stays small.
        known, measured = self._measured_handlers.get(path, (None, None))
        if known is not handler or measured is None:
            measured = self._with_measures(handler, path.removeprefix("/"))
            self._measured_handlers[path] = (handler, measured)
        return measured

    def _with_measures(self, handler: Handler, method: str) -> Handler:
        """Return the handler of a method with its answers measured; those of a stream are measured as one."""
        make, answer = kind_of(handler)
        measured: Handler = make(
            self._logged(self._measured(answer, method.rpartition("/")[2]), method),
            request_deserializer=handler.request_deserializer,
            response_serializer=handler.response_serializer,
        )
        return measured

    def _measured(self, answer: Callable[..., Any], method: str) -> Callable[..., Any]:
        # Looking a label up takes longer than counting. All codes are there from the start, so a rate sees the first.
        handled = {code: self._handled.labels(method, code.name) for code in grpc.StatusCode}
        seconds = self._seconds.labels(method)

        async def measured(request: Any, context: _Context) -> Any:
            started = time.perf_counter()
            code = grpc.StatusCode.UNKNOWN  # of an exception that nothing translated
            try:
                response = await answer(request, context)
                code = _code_set_on(context)
            except grpc.aio.AbortError:
                code = _code_set_on(context)
                raise
            except asyncio.CancelledError:
                code = _code_of_cancellation(context)
                raise
            except Exception:
                # What is sent to a call that is over fails in gRPC: it ended as its client saw it, whatever was sent.
                if _is_late(context) or context.cancelled():
                    code = _code_of_cancellation(context)
                raise
            else:
                return response
            finally:
                handled[code].inc()
                seconds.observe(time.perf_counter() - started)
                if (call := current_call()) is not None:
                    call.code = code.name

        return measured

    def _logged(self, answer: Callable[..., Any], method: str) -> Callable[..., Any]:
        log = self._access_log
        if log is None:
            return answer

        async def logged(request: Any, context: _Context) -> Any:
            with log.call(method, context.peer()):
                return await answer(request, context)

        return logged


def _code_set_on(context: _Context) -> grpc.StatusCode:
    """Status code of a call, which gRPC keeps as a number; OK if nothing set it."""
    code: Any = context.code()
    return code if isinstance(code, grpc.StatusCode) else _CODES[code or 0]


def _code_of_cancellation(context: _Context) -> grpc.StatusCode:
    """Reason for which gRPC cancels a handler: the client's deadline is over, or the client (or the server) gave up."""
    return grpc.StatusCode.DEADLINE_EXCEEDED if _is_late(context) else grpc.StatusCode.CANCELLED


def _is_late(context: _Context) -> bool:
    remaining_s: float | None = context.time_remaining()
    return remaining_s is not None and remaining_s <= _SLACK_S
