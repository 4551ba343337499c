"""Clients of the gRPC servers."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, Final

import grpc

from benchmarks.serving.calls import LoadSettings
from benchmarks.serving.programs.clients import Client, FailedError, read_answer
from handlers.contract import INPUT_FIELD, CommentaryRequest
from serving import wire
from serving.oip import open_inference_pb2, open_inference_pb2_grpc
from serving.torchserve.api import inference_pb2, inference_pb2_grpc
from serving.torchserve.keys import Keys, bearer
from serving.v1 import commentary_pb2_grpc

_CHANNELS: Final = 4
"""Connections of a gRPC client. One would suffice for the bytes, but not for servers that balance connections."""
_MAX_ANSWER: Final = 8 * 2**20


@asynccontextmanager
async def torchserve(settings: LoadSettings) -> AsyncIterator[Client]:
    """Connect to TorchServe's own service."""
    async with _grpc_calls(
        settings, lambda channel: inference_pb2_grpc.InferenceAPIsServiceStub(channel).Predictions
    ) as call:

        async def ask(payload: str) -> tuple[int, float]:
            message = inference_pb2.PredictionsRequest(
                model_name=settings.model, model_version=settings.version, input={INPUT_FIELD: payload.encode()}
            )
            return read_answer((await call(message)).prediction)

        yield ask


@asynccontextmanager
async def gateway(settings: LoadSettings) -> AsyncIterator[Client]:
    """Connect to the gateway; the protocol `interleaved` asks all arms of its experiment."""
    interleave = settings.protocol == "interleaved"
    async with _grpc_calls(settings, lambda channel: commentary_pb2_grpc.CommentaryStub(channel).Generate) as call:

        async def ask(payload: str) -> tuple[int, float]:
            request = CommentaryRequest.from_json(payload)
            answer = await call(
                wire.request_to_message(request, model=settings.model, version=None, interleave=interleave)
            )
            return len(answer.samples), answer.timings.decode_ms

        yield ask


@asynccontextmanager
async def open_inference(settings: LoadSettings) -> AsyncIterator[Client]:
    """Connect to the gateway, and ask by the Open Inference Protocol, with the whole request in one tensor."""
    async with _grpc_calls(
        settings, lambda channel: open_inference_pb2_grpc.GRPCInferenceServiceStub(channel).ModelInfer
    ) as call:

        async def ask(payload: str) -> tuple[int, float]:
            message = open_inference_pb2.ModelInferRequest(model_name=settings.model)
            tensor = message.inputs.add(name="request", datatype="BYTES", shape=[1])
            tensor.contents.bytes_contents.append(payload.encode())
            answer = await call(message)
            return int(answer.outputs[0].shape[0]), answer.parameters["decode_ms"].double_param

        yield ask


@asynccontextmanager
async def bare_grpc(settings: LoadSettings) -> AsyncIterator[Client]:
    """Connect to the bare server."""
    async with _grpc_calls(settings, lambda channel: channel.unary_unary("/bench.Commentary/Answer")) as call:

        async def ask(payload: str) -> tuple[int, float]:
            return read_answer(await call(payload.encode()))

        yield ask


@asynccontextmanager
async def _grpc_calls(settings: LoadSettings, method: Callable[[Any], Any]) -> AsyncIterator[Callable[[Any], Any]]:
    """Return a unary call over several connections in turn; its failures become `FailedError`."""
    options = (
        ("grpc.use_local_subchannel_pool", 1),  # otherwise channels to one address share a connection
        ("grpc.enable_http_proxy", 0),
        ("grpc.max_receive_message_length", _MAX_ANSWER),
        ("grpc.max_reconnect_backoff_ms", 500),
    )
    metadata = _metadata(settings)
    async with AsyncExitStack() as stack:
        channels = [await stack.enter_async_context(_channel(settings, options)) for _ in range(_CHANNELS)]
        methods = [method(channel) for channel in channels]
        turn = 0

        async def call(message: Any) -> Any:
            nonlocal turn
            turn = (turn + 1) % len(methods)
            try:
                return await methods[turn](message, timeout=settings.deadline_s, metadata=metadata)
            except grpc.aio.AioRpcError as failure:
                raise FailedError(failure.code().name) from failure

        yield call


def _metadata(settings: LoadSettings) -> tuple[tuple[str, str], ...]:
    """Return what shows who asks."""
    if settings.token_file:
        return (("authorization", f"Bearer {Path(settings.token_file).read_text()}"),)
    keys = Keys.read(Path(settings.keys)) if settings.keys else None
    return (("authorization", bearer(keys.inference)),) if keys is not None else ()


def _channel(settings: LoadSettings, options: tuple[tuple[str, int], ...]) -> grpc.aio.Channel:
    if not settings.ca:
        return grpc.aio.insecure_channel(settings.address, options=options)
    credentials = grpc.ssl_channel_credentials(Path(settings.ca).read_bytes())
    return grpc.aio.secure_channel(settings.address, credentials, options=options)


CLIENTS: Final = {
    "grpc": torchserve,
    "gateway": gateway,
    "interleaved": gateway,
    "oip": open_inference,
    "bare_grpc": bare_grpc,
}
