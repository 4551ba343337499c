"""Client of the gateway: typed, with deadlines, bounded retries and one error tree.

The extra `client` (`pip install 'deephypebot[client]'`) brings all that it needs: grpcio and protobuf. It is
thread-safe, and works under gevent if `grpc.experimental.gevent.init_gevent()` ran before the first client was created.

    from serving.client import CommentaryClient, CommentaryRequest

    with CommentaryClient("127.0.0.1:50051") as client:
        response = client.generate(CommentaryRequest(genres=["dream pop"]), model="lcgan", version="2")

`serving.async_client` has the same client for asyncio.

    CommentaryError
    ├── RequestError              the request is at fault: a retry fails as well
    │   ├── ContractError         a value of a request is invalid, found as the request is made; `.field` names it
    │   ├── TargetError           the address of the gateway cannot be understood
    │   ├── CredentialsError      a certificate or token of the client cannot be used
    │   ├── AccessDeniedError     the client shows no token that the gateway knows
    │   ├── InvalidRequestError   the gateway or the model refuses the value of a field; `.field` names it
    │   └── UnknownModelError     the model or version is not live
    └── ServiceError              the service is at fault: the same request may succeed later
        ├── UnavailableError      nothing listens at the target, or nothing can answer now
        ├── OverloadedError       the gateway is at its concurrency limit, or the client at its own
        ├── DeadlineError         the answer did not arrive in time
        └── InternalServiceError  a fault in the service
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from types import TracebackType
from typing import Self, TypeVar

import grpc

from foundation.commentary_errors import CommentaryError, RequestError
from foundation.defaults import DEFAULT_MODEL, GATEWAY_TARGET
from handlers.contract import CommentaryRequest, CommentaryResponse, ContractError, Sample, SamplingParams
from serving import wire
from serving.caller import (
    DEFAULT_RETRY,
    HEALTH_CHECK,
    HEALTH_SERVING,
    Caller,
    check_timeout,
    unchanged,
)
from serving.client_errors import (
    AccessDeniedError,
    DeadlineError,
    InternalServiceError,
    InvalidRequestError,
    OverloadedError,
    ServiceError,
    UnavailableError,
    UnknownModelError,
)
from serving.credentials import Credentials, CredentialsError
from serving.interleaving import ArmAnswer, InterleavedResponse
from serving.retries import RetryPolicy
from serving.targets import TargetError
from serving.telemetry import names
from serving.telemetry.current import calling
from serving.v1 import commentary_pb2, commentary_pb2_grpc
from serving.wire import LiveModel, LiveVersion, RequestLimits

__all__ = [
    "AccessDeniedError",
    "ArmAnswer",
    "CommentaryClient",
    "CommentaryError",
    "CommentaryRequest",
    "CommentaryResponse",
    "ContractError",
    "Credentials",
    "CredentialsError",
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
    "Sample",
    "SamplingParams",
    "ServiceError",
    "TargetError",
    "UnavailableError",
    "UnknownModelError",
]


_Answer = TypeVar("_Answer")


class CommentaryClient:
    """Connection to one gateway. The first call connects, and a broken connection is restored by the next call.

    A connection that died without a word is replaced 20 s after the gateway was last heard.

    Args:
        target: address of the gateway, `host:port`; see `serving.targets.parse_target`. With `https://` before it, the
            client speaks TLS. Calls to `dns:///host:port` go to each of its addresses in turn, as long as it serves.
        model: model for calls that name none.
        timeout_s: deadline of calls that name none, in seconds, retries included.
        retry: number of attempts of a failed call, and the pauses between them.
        credentials: how the client verifies the gateway, and what it shows; None speaks in the clear, without a token.

    Raises:
        TargetError: the target is not an address.
        CredentialsError: a file of the credentials cannot be read, or the token would be sent in the clear.
    """

    def __init__(
        self,
        target: str = GATEWAY_TARGET,
        *,
        model: str = DEFAULT_MODEL,
        timeout_s: float = 10.0,
        retry: RetryPolicy = DEFAULT_RETRY,
        credentials: Credentials | None = None,
    ) -> None:
        self._caller = Caller(target, model=model, timeout_s=timeout_s, retry=retry, credentials=credentials)
        self._channel = self._caller.channel()
        self._stub = commentary_pb2_grpc.CommentaryStub(self._channel)
        self._health = self._channel.unary_unary(
            HEALTH_CHECK, request_serializer=unchanged, response_deserializer=unchanged
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
        message = self._caller.message(request, model, version)
        return wire.response_from_message(self._generate(message, timeout_s))

    def generate_stream(
        self,
        request: CommentaryRequest,
        *,
        model: str | None = None,
        version: str | int | None = None,
        timeout_s: float | None = None,
    ) -> Generator[tuple[Sample, ...], None, None]:
        """Yield samples as they are ready, in their order: those that `generate` returns for the same seed.

        A stream is not retried: samples may have come before it failed. To end it early, close the iterator.

        Args:
            request: request for samples.
            model: registered model; None for the client's own.
            version: live version to pin; None for the champion.
            timeout_s: deadline of the whole stream in seconds; None for the client's own.

        Raises:
            CommentaryError: see the tree in this module's docstring.
        """
        message = self._caller.message(request, model, version)
        attempts = self._caller.attempts(timeout_s)
        try:
            # The span is that of the start: what the caller does between two samples is not in it.
            with calling(names.GENERATE_STREAM, self._caller.target) as metadata:
                sent = (*metadata, *self._caller.metadata())
                call = self._stub.GenerateStream(message, timeout=attempts.left_s(), metadata=sent)
        except ValueError as cause:  # grpc raises it for a call after close()
            raise self._caller.closed() from cause
        try:
            for part in call:
                if part.samples:
                    yield wire.samples_from_messages(part.samples)
        except grpc.RpcError as failure:
            raise attempts.final(failure) from failure
        finally:
            call.cancel()

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
        message = self._caller.message(request, model, None, interleave=True)
        return self._caller.interleaved(self._generate(message, timeout_s))

    def _generate(
        self, message: commentary_pb2.GenerateRequest, timeout_s: float | None
    ) -> commentary_pb2.GenerateResponse:
        with calling(names.GENERATE, self._caller.target) as metadata:

            def send(limit_s: float) -> commentary_pb2.GenerateResponse:
                return self._stub.Generate(message, timeout=limit_s, metadata=(*metadata, *self._caller.metadata()))

            return self._call(send, timeout_s)

    def describe(self, model: str = "", *, timeout_s: float | None = None) -> tuple[LiveModel, ...]:
        """Return the live models, or the named one alone.

        Raises:
            CommentaryError: see the tree in this module's docstring.
        """
        message = commentary_pb2.DescribeRequest(model=model)
        return wire.live_models_from_message(self._describe(message, timeout_s))

    def limits(self, *, timeout_s: float | None = None) -> RequestLimits:
        """Return the limits of one request.

        Raises:
            CommentaryError: see the tree in this module's docstring.
        """
        message = commentary_pb2.DescribeRequest()
        return wire.limits_from_message(self._describe(message, timeout_s))

    def _describe(
        self, message: commentary_pb2.DescribeRequest, timeout_s: float | None
    ) -> commentary_pb2.DescribeResponse:
        def send(limit_s: float) -> commentary_pb2.DescribeResponse:
            return self._stub.Describe(message, timeout=limit_s, metadata=self._caller.metadata())

        return self._call(send, timeout_s)

    def is_serving(self, *, timeout_s: float = 2.0) -> bool:
        """Return whether the gateway reports SERVING; False also if it cannot be reached."""
        check_timeout(timeout_s)
        try:
            return bool(self._health(b"", timeout=timeout_s) == HEALTH_SERVING)
        except (grpc.RpcError, ValueError):  # the latter after close()
            return False

    def _call(self, send: Callable[[float], _Answer], timeout_s: float | None) -> _Answer:
        """Send a call until it succeeds, fails for good, or its deadline is over. Errors become `CommentaryError`s."""
        attempts = self._caller.attempts(timeout_s)
        while True:
            try:
                answer = send(attempts.left_s())
            except grpc.RpcError as failure:
                pause_s = attempts.pause_after(failure)
            except ValueError as cause:  # grpc raises it for a call after close()
                raise self._caller.closed() from cause
            else:
                attempts.succeeded()
                return answer
            time.sleep(pause_s)
