"""Calls of both clients: their channel, their messages, and the attempts of a call until it succeeds or fails."""

from __future__ import annotations

import time
from typing import Final

import grpc

from foundation.commentary_errors import CommentaryError
from handlers.contract import CommentaryRequest
from serving import wire
from serving.client_errors import (
    InternalServiceError,
    InvalidRequestError,
    UnavailableError,
    asked_pause_s,
    is_passing,
    translate,
)
from serving.credentials import BearerToken, Credentials
from serving.interleaving import InterleavedResponse
from serving.retries import RetryBudget, RetryPolicy, budget_of
from serving.targets import asks_for_tls, names_several, parse_target
from serving.v1 import commentary_pb2

CHANNEL_OPTIONS: Final = (
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
# Calls go to each of several gateways in turn, and to none that says that it does not serve.
_BALANCED: Final = '{"loadBalancingConfig": [{"round_robin": {}}], "healthCheckConfig": {"serviceName": ""}}'
# Where there are others to ask, a host that acknowledges nothing for 3 s is left at once: its calls fail as unavailable
# and are asked again elsewhere, within their deadline. The kernel acknowledges, however busy a gateway is.
_BALANCED_OPTIONS: Final = (("grpc.service_config", _BALANCED), ("grpc.keepalive_timeout_ms", 3_000))
# grpc.health.v1 without grpcio-health-checking: the request for the whole server is the empty message, and the answer
# SERVING is field 1 with the value 1. A test parses both with that package.
HEALTH_CHECK: Final = "/grpc.health.v1.Health/Check"
HEALTH_SERVING: Final = b"\x08\x01"
DEFAULT_RETRY: Final = RetryPolicy()


class Caller:
    """Part of a client that does not depend on how it waits. Its arguments and their errors are the client's."""

    def __init__(
        self,
        target: str,
        *,
        model: str,
        timeout_s: float,
        retry: RetryPolicy,
        credentials: Credentials | None,
    ) -> None:
        self.target: Final = parse_target(target)
        self._model = model
        self._timeout_s = check_timeout(timeout_s)
        self._retry = retry
        self._budget = budget_of(self.target)
        shown = credentials or Credentials()
        is_secure = shown.speak_tls or asks_for_tls(target)
        self._token = BearerToken(shown, target=self.target, is_secure=is_secure)
        self._secure = shown.channel_credentials() if is_secure else None
        options = dict(CHANNEL_OPTIONS) | dict(_BALANCED_OPTIONS if names_several(self.target) else ())
        self._options = (*options.items(), *shown.channel_options)

    def channel(self) -> grpc.Channel:
        """Open a blocking channel; nothing is sent yet."""
        if self._secure is None:
            return grpc.insecure_channel(self.target, options=self._options)
        return grpc.secure_channel(self.target, self._secure, options=self._options)

    def async_channel(self) -> grpc.aio.Channel:
        """Open a channel of the running event loop; nothing is sent yet."""
        if self._secure is None:
            return grpc.aio.insecure_channel(self.target, options=self._options)
        return grpc.aio.secure_channel(self.target, self._secure, options=self._options)

    def metadata(self) -> tuple[tuple[str, str], ...]:
        """Return the metadata by which a call shows its token; empty without one."""
        return self._token.metadata()

    def message(
        self, request: CommentaryRequest, model: str | None, version: str | int | None, *, interleave: bool = False
    ) -> commentary_pb2.GenerateRequest:
        """Return the message of a request for samples.

        Raises:
            InvalidRequestError: the model or the version is not text.
        """
        pinned = str(version) if isinstance(version, int) else version
        try:
            return wire.request_to_message(request, model=model or self._model, version=pinned, interleave=interleave)
        except (TypeError, ValueError) as cause:
            raise InvalidRequestError("INVALID_ARGUMENT", f"model and version must be valid text: {cause}") from cause

    def interleaved(self, message: commentary_pb2.GenerateResponse) -> InterleavedResponse:
        """Return the answer of several arms.

        Raises:
            InternalServiceError: a sample names an arm that is not there.
        """
        try:
            return wire.interleaved_from_message(message)
        except ValueError as cause:
            raise InternalServiceError("INTERNAL", f"the answer of {self.target} makes no sense: {cause}") from cause

    def attempts(self, timeout_s: float | None) -> Attempts:
        """Return the attempts of a call with a deadline in seconds; None for the client's own."""
        limit_s = self._timeout_s if timeout_s is None else check_timeout(timeout_s)
        return Attempts(self.target, limit_s=limit_s, retry=self._retry, budget=self._budget)

    def closed(self) -> UnavailableError:
        """Return the error of a call after, or during, the end of the client."""
        return UnavailableError("UNAVAILABLE", f"the client for {self.target} is closed")


class Attempts:
    """Attempts of one call.

    Args:
        target: address of the gateway, for messages.
        limit_s: deadline of the call, in seconds from now.
        retry: number of attempts, and the pauses between them.
        budget: budget that pays for retries.
    """

    def __init__(self, target: str, *, limit_s: float, retry: RetryPolicy, budget: RetryBudget) -> None:
        self._target = target
        self._limit_s = limit_s
        self._retry = retry
        self._budget = budget
        self._deadline = time.monotonic() + limit_s
        self._number = 1

    def left_s(self) -> float:
        """Return the time that is left, in seconds."""
        return max(self._deadline - time.monotonic(), 0.001)

    def pause_after(self, failure: grpc.RpcError) -> float:
        """Return the pause before the next attempt, in seconds.

        Raises:
            CommentaryError: there is none: the failure is final, or neither attempts, time nor budget are left.
        """
        pause_s = max(self._retry.draw_pause_s(self._number), asked_pause_s(failure))
        in_time = time.monotonic() + pause_s < self._deadline
        may_retry = is_passing(failure) and self._number < self._retry.max_attempts and in_time
        if not (may_retry and self._budget.pay()):
            raise self.final(failure) from failure
        self._number += 1
        return pause_s

    def final(self, failure: grpc.RpcError) -> CommentaryError:
        """Return the error of a call that is not tried again."""
        return translate(failure, self._target, self._limit_s)

    def succeeded(self) -> None:
        """Note that the call succeeded."""
        self._budget.earn()


def check_timeout(timeout_s: float) -> float:
    """Return a deadline, in seconds.

    Raises:
        ValueError: it is not more than 0.
    """
    if not timeout_s > 0:
        raise ValueError(f"timeout_s must be more than 0 seconds, got {timeout_s:g}")
    return timeout_s


def unchanged(message: bytes) -> bytes:
    """Return the bytes of a message, which need no encoding."""
    return message
