"""Client of the gateway: typed, with deadlines, bounded retries and one error tree.

The extra `client` (`pip install 'deephypebot[client]'`) brings all that it needs: grpcio and protobuf. It is
thread-safe, and works under gevent if `grpc.experimental.gevent.init_gevent()` ran before the first client was created.

    from serving.client import CommentaryClient, CommentaryRequest

    with CommentaryClient("127.0.0.1:50051") as client:
        response = client.generate(CommentaryRequest(genres=["dream pop"]), model="lcgan", version="2")

    CommentaryError
    ├── RequestError              the request is at fault: a retry fails as well
    │   ├── ContractError         a value of a request is invalid, found as the request is made; `.field` names it
    │   ├── TargetError           the address of the gateway cannot be understood
    │   ├── InvalidRequestError   the gateway or the model refuses the value of a field; `.field` names it
    │   └── UnknownModelError     the model or version is not live
    └── ServiceError              the service is at fault: the same request may succeed later
        ├── UnavailableError      nothing listens at the target, or nothing can answer now
        ├── OverloadedError       the gateway is at its concurrency limit
        ├── DeadlineError         the answer did not arrive in time
        └── InternalServiceError  a fault in the service
"""

from __future__ import annotations

import time
from collections.abc import Callable
from types import TracebackType
from typing import Final, Self, TypeVar

import grpc

from foundation.commentary_errors import CommentaryError, RequestError
from foundation.defaults import DEFAULT_MODEL, GATEWAY_TARGET
from handlers.contract import CommentaryRequest, CommentaryResponse, ContractError, SamplingParams
from serving import wire
from serving.client_errors import (
    DeadlineError,
    InternalServiceError,
    InvalidRequestError,
    OverloadedError,
    ServiceError,
    UnavailableError,
    UnknownModelError,
    asked_pause_s,
    is_passing,
    translate,
)
from serving.interleaving import ArmAnswer, InterleavedResponse
from serving.retries import RetryPolicy, budget_of
from serving.targets import TargetError, parse_target
from serving.telemetry import names
from serving.telemetry.client_calls import client_call
from serving.v1 import commentary_pb2, commentary_pb2_grpc
from serving.wire import LiveModel, LiveVersion, RequestLimits

__all__ = [
    "ArmAnswer",
    "CommentaryClient",
    "CommentaryError",
    "CommentaryRequest",
    "CommentaryResponse",
    "ContractError",
    "DeadlineError",
    "InterleavedResponse",
    "InternalServiceError",
    "InvalidRequestError",
    "LiveModel",
    "LiveVersion",
    "OverloadedError",
    "RequestError",
    "RequestLimits",
    "RetryPolicy",
    "SamplingParams",
    "ServiceError",
    "TargetError",
    "UnavailableError",
    "UnknownModelError",
]


_Answer = TypeVar("_Answer")

_CHANNEL_OPTIONS: Final = (
    # By default gRPC waits up to two minutes between connection attempts and fails every call meanwhile: a restarted
    # server would stay unreachable for its clients.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 2_000),
    # A connection can die without a word, as when a firewall forgets it or a machine loses its power, and TCP would try
    # for a quarter of an hour. After 10 s of silence the client pings, and after 10 more it connects again. The gateway
    # permits such pings (serving/gateway/listening.py).
    ("grpc.keepalive_time_ms", 10_000),
    ("grpc.keepalive_timeout_ms", 10_000),  # of data that nobody acknowledges
    ("grpc.http2.ping_timeout_ms", 10_000),  # of a ping that TCP acknowledged and nobody answers: a minute by default
    # A client that asks now and then, for less than 10 s each time, would otherwise never ping.
    ("grpc.keepalive_permit_without_calls", 1),
    # One that has nothing to ask leaves: its next call connects again, and no gateway has to close an idle connection.
    ("grpc.client_idle_timeout_ms", 20_000),
    # Proxies of the environment are made for the web: they would answer a gRPC call with an HTML page.
    ("grpc.enable_http_proxy", 0),
)
# grpc.health.v1 without grpcio-health-checking: the request for the whole server is the empty message, and the answer
# SERVING is field 1 with the value 1. A test parses both with that package.
_HEALTH_CHECK: Final = "/grpc.health.v1.Health/Check"
_HEALTH_SERVING: Final = b"\x08\x01"


DEFAULT_RETRY: Final = RetryPolicy()


class CommentaryClient:
    """Connection to one gateway. The first call connects, and a broken connection is restored by the next call.

    A connection that died without a word is replaced 20 s after the gateway was last heard.

    Args:
        target: address of the gateway, `host:port`; see `serving.targets.parse_target`.
        model: model for calls that name none.
        timeout_s: deadline of calls that name none, in seconds, retries included.
        retry: number of attempts of a failed call, and the pauses between them.

    Raises:
        TargetError: the target is not an address.
    """

    def __init__(
        self,
        target: str = GATEWAY_TARGET,
        *,
        model: str = DEFAULT_MODEL,
        timeout_s: float = 10.0,
        retry: RetryPolicy = DEFAULT_RETRY,
    ) -> None:
        self._target = parse_target(target)
        self._model = model
        self._timeout_s = _check_timeout(timeout_s)
        self._retry = retry
        self._budget = budget_of(self._target)
        self._channel = grpc.insecure_channel(self._target, options=_CHANNEL_OPTIONS)
        self._stub = commentary_pb2_grpc.CommentaryStub(self._channel)
        self._health = self._channel.unary_unary(
            _HEALTH_CHECK, request_serializer=_unchanged, response_deserializer=_unchanged
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection; calls in flight fail with `UnavailableError`."""
        self._channel.close()

    def generate(
        self,
        request: CommentaryRequest,
        *,
        model: str | None = None,
        version: str | int | None = None,
        timeout_s: float | None = None,
    ) -> CommentaryResponse:
        """Ask for samples.

        Args:
            request: request for samples.
            model: registered model; None for the client's own.
            version: live version to pin; None for the champion.
            timeout_s: deadline in seconds, retries included; None for the client's own.

        Raises:
            CommentaryError: see the tree in this module's docstring.
        """
        pinned = str(version) if isinstance(version, int) else version
        return wire.response_from_message(self._generate(request, model, pinned, timeout_s=timeout_s))

    def generate_interleaved(
        self, request: CommentaryRequest, *, model: str | None = None, timeout_s: float | None = None
    ) -> InterleavedResponse:
        """Ask all arms of the model's running interleaved experiment for samples, for the same unit and seed.

        Each arm is asked for an equal share of the samples, rounded up. Without such an experiment one version answers,
        as for `generate`, and is the only arm.

        Args:
            request: request for samples; `num_samples` is the number of all arms together.
            model: registered model; None for the client's own.
            timeout_s: deadline in seconds, retries included; None for the client's own.

        Raises:
            CommentaryError: see the tree in this module's docstring.
        """
        message = self._generate(request, model, None, interleave=True, timeout_s=timeout_s)
        try:
            return wire.interleaved_from_message(message)
        except ValueError as cause:
            raise InternalServiceError("INTERNAL", f"the answer of {self._target} makes no sense: {cause}") from cause

    def _generate(
        self,
        request: CommentaryRequest,
        model: str | None,
        version: str | None,
        *,
        timeout_s: float | None,
        interleave: bool = False,
    ) -> commentary_pb2.GenerateResponse:
        try:
            message = wire.request_to_message(
                request, model=model or self._model, version=version, interleave=interleave
            )
        except (TypeError, ValueError) as cause:
            raise InvalidRequestError("INVALID_ARGUMENT", f"model and version must be valid text: {cause}") from cause
        with client_call(names.GENERATE, self._target) as metadata:
            return self._call(
                lambda timeout: self._stub.Generate(message, timeout=timeout, metadata=metadata), timeout_s
            )

    def describe(self, model: str = "", *, timeout_s: float | None = None) -> tuple[LiveModel, ...]:
        """Return the live models, or the named one alone.

        Raises:
            CommentaryError: see the tree in this module's docstring.
        """
        message = commentary_pb2.DescribeRequest(model=model)
        return wire.live_models_from_message(
            self._call(lambda timeout: self._stub.Describe(message, timeout=timeout), timeout_s)
        )

    def limits(self, *, timeout_s: float | None = None) -> RequestLimits:
        """Return the limits of one request.

        Raises:
            CommentaryError: see the tree in this module's docstring.
        """
        message = commentary_pb2.DescribeRequest()
        return wire.limits_from_message(
            self._call(lambda timeout: self._stub.Describe(message, timeout=timeout), timeout_s)
        )

    def is_serving(self, *, timeout_s: float = 2.0) -> bool:
        """Return whether the gateway reports SERVING; False also if it cannot be reached."""
        try:
            return bool(self._health(b"", timeout=_check_timeout(timeout_s)) == _HEALTH_SERVING)
        except grpc.RpcError:
            return False

    def _call(self, send: Callable[[float], _Answer], timeout_s: float | None) -> _Answer:
        """Send a call until it succeeds, fails for good, or its deadline is over. Errors become `CommentaryError`s."""
        limit_s = self._timeout_s if timeout_s is None else _check_timeout(timeout_s)
        deadline = time.monotonic() + limit_s
        attempt = 1
        while True:
            try:
                answer = send(max(deadline - time.monotonic(), 0.001))
            except grpc.RpcError as failure:
                pause_s = max(self._retry.draw_pause_s(attempt), asked_pause_s(failure))
                in_time = time.monotonic() + pause_s < deadline
                may_retry = is_passing(failure) and attempt < self._retry.max_attempts and in_time
                if not (may_retry and self._budget.pay()):
                    raise translate(failure, self._target, limit_s) from failure
            except ValueError as cause:
                # grpc raises it for a call after close().
                raise UnavailableError("UNAVAILABLE", f"the client for {self._target} is closed") from cause
            else:
                self._budget.earn()
                return answer
            time.sleep(pause_s)
            attempt += 1


def _check_timeout(timeout_s: float) -> float:
    if not timeout_s > 0:
        raise ValueError(f"timeout_s must be more than 0 seconds, got {timeout_s:g}")
    return timeout_s


def _unchanged(message: bytes) -> bytes:
    return message
