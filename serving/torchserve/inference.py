"""Client of TorchServe's inference service."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import Any, Final, Self

import grpc

from handlers.batches import BATCH_FIELD
from handlers.contract import (
    CONTRACT,
    INPUT_FIELD,
    START_BY_FIELD,
    TRACEPARENT_FIELD,
    CommentaryRequest,
    CommentaryResponse,
    ContractError,
    decode_answer,
)
from serving.torchserve.api import inference_pb2, inference_pb2_grpc
from serving.torchserve.batcher import Batcher
from serving.torchserve.faults import Failure, InferenceError, failure_in, in_band, translate
from serving.torchserve.keys import bearer

MAX_ANSWER_BYTES: Final = 8 * 2**20
"""Limit above the largest answer of TorchServe, which kills a worker that answers with more than 6.5 MB."""

_CHANNEL_OPTIONS: Final = (
    ("grpc.enable_http_proxy", 0),  # it is on loopback
    ("grpc.max_receive_message_length", MAX_ANSWER_BYTES),
    # After a restart of TorchServe a new channel is opened, so a long backoff would be useless.
    ("grpc.max_reconnect_backoff_ms", 1_000),
    # A call before the port listens must not make those of the next second fail.
    ("grpc.initial_reconnect_backoff_ms", 50),
)
_PING: Final = "/org.pytorch.serve.grpc.inference.InferenceAPIsService/Ping"
_NO_ANSWER: Final = frozenset(
    {grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED}
)


class Inference:
    """A connection to TorchServe's inference service; an async context manager.

    Args:
        target: address of the service.
        key: key that it asks its callers for; empty for one that asks for none.
    """

    def __init__(self, target: str, *, key: str = "") -> None:
        self._metadata = (("authorization", bearer(key)),) if key else ()
        self._channel = grpc.aio.insecure_channel(target, options=_CHANNEL_OPTIONS)
        self._stub: inference_pb2_grpc.InferenceAPIsServiceAsyncStub = inference_pb2_grpc.InferenceAPIsServiceStub(
            self._channel
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self, *, grace_s: float | None = None) -> None:
        """Close the connection; calls in flight are cancelled after the grace period."""
        await self._channel.close(grace_s)

    async def answers_ping(self, *, timeout_s: float) -> bool:
        """Return whether TorchServe answers at all within the time, whatever state its workers are in.

        Its /ping would not do: a thread that answers it may be waiting for a version to be loaded.
        """
        ping: Any = self._channel.unary_unary(_PING)
        try:
            await ping(b"", timeout=timeout_s, metadata=self._metadata)
        except grpc.aio.AioRpcError as failure:
            return failure.code() not in _NO_ANSWER
        except grpc.aio.UsageError:  # the connection was closed meanwhile
            return False
        return True

    async def generate(
        self,
        request: CommentaryRequest,
        *,
        model: str,
        version: str,
        timeout_s: float,
        contract: int = CONTRACT,
        start_by: float | None = None,
        traceparent: str = "",
    ) -> CommentaryResponse:
        """Ask one version for samples, in a call of its own.

        Args:
            request: request for samples.
            model: name of the model.
            version: number of the version.
            timeout_s: longest time to wait for the answer.
            contract: version of the request's JSON that the version's worker reads.
            start_by: latest start of the decode, in seconds of the machine's monotonic clock; None for any. The worker
                answers later ones with DEADLINE_EXCEEDED; archives packed by earlier versions decode them.
            traceparent: context of the request's trace; empty if it has none.

        Raises:
            InferenceError: the request fails; it holds the status for the client.
        """
        fields = {INPUT_FIELD: request.to_json(contract)}
        if start_by is not None:
            fields[START_BY_FIELD] = b"%.3f" % start_by
        if traceparent:
            fields[TRACEPARENT_FIELD] = traceparent.encode()
        answer = await self._predict(fields, model=model, version=version, timeout_s=timeout_s)
        try:
            return decode_answer(answer)
        except ContractError as fault:
            raise in_band(fault) from fault

    def batcher(self, model: str, version: str, *, num_workers: Callable[[], int], timeout_s: float) -> Batcher:
        """Return a former of batches for one version, whose worker has to read them (`BATCHES_CONTRACT`).

        Args:
            model: name of the model.
            version: number of the version.
            num_workers: returns the number of its workers that are able to answer.
            timeout_s: longest time to wait for the answer to a batch.
        """

        async def send(payload: bytes) -> bytes:
            return await self._predict({BATCH_FIELD: payload}, model=model, version=version, timeout_s=timeout_s)

        return Batcher(send, num_workers=num_workers)

    async def _predict(self, fields: dict[str, bytes], *, model: str, version: str, timeout_s: float) -> bytes:
        """Make one call of TorchServe and return its answer.

        Raises:
            InferenceError: TorchServe does not answer, or with an error of its own.
        """
        message = inference_pb2.PredictionsRequest(model_name=model, model_version=version, input=fields)
        try:
            answer = await self._stub.Predictions(message, timeout=timeout_s, metadata=self._metadata)
        except grpc.aio.AioRpcError as failure:
            details = failure.details() or ""
            code, reason = translate(failure.code(), details)
            kind = failure_in(failure.code(), details)
            raise InferenceError(code, f"{model} {version}: {reason}", failure=kind) from failure
        except grpc.aio.UsageError as cause:
            # The channel was closed meanwhile, which happens to a request that arrives while TorchServe ends.
            raise InferenceError(
                grpc.StatusCode.UNAVAILABLE, f"TorchServe is shutting down: {cause}", failure=Failure.UNREACHABLE
            ) from cause
        return answer.prediction
