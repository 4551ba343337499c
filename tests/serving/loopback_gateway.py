"""A gateway in front of a loopback server that speaks TorchServe's protocol, so that a test chooses every answer."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any, cast

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from handlers.batches import BATCH_FIELD, BatchedRequest, decode_requests, encode_answers
from handlers.contract import (
    FIRST_CONTRACT,
    CommentaryRequest,
    CommentaryResponse,
    ModelIdentity,
    Timings,
    encode_answer,
)
from serving.gateway.access_log import AccessLog
from serving.gateway.server import Gateway
from serving.gateway.settings import GatewaySettings
from serving.registry.contents import ArchiveInfo
from serving.telemetry.tracing import Tracing
from serving.torchserve.api import inference_pb2, inference_pb2_grpc
from serving.torchserve.inference import TorchServeInference
from serving.traffic.exposures import Recorder
from serving.traffic.route import Route, make_route
from serving.traffic.routes import RoutingTable
from serving.v1 import commentary_pb2, commentary_pb2_grpc

Answer = Callable[[CommentaryRequest], Awaitable[str]]


@dataclass
class LoopbackTorchServe(inference_pb2_grpc.InferenceAPIsServiceServicer):
    """Answers what the test says, or fails as TorchServe fails."""

    answer: Answer
    failure: tuple[grpc.StatusCode, str] | None = None
    """Failure of every request."""
    failures: list[tuple[grpc.StatusCode, str]] = field(default_factory=list)
    """Failures of the next requests, one for each."""
    seen: list[tuple[str, str, CommentaryRequest]] = field(default_factory=list)
    inputs: list[dict[str, bytes]] = field(default_factory=list)
    """Input maps of the requests."""
    deadlines: list[float] = field(default_factory=list)
    batches: list[list[BatchedRequest]] = field(default_factory=list)
    """Batches of the gateway, as a worker reads them."""
    earlier_samples: int = 0
    """Samples before those of the part whose answer begins."""

    async def Predictions(  # noqa: N802 - the protocol's name
        self, request: inference_pb2.PredictionsRequest, context: Any
    ) -> inference_pb2.PredictionResponse:
        if BATCH_FIELD in request.input:
            return await self._answer_batch(request, context)
        asked = CommentaryRequest.from_json(request.input["data"])
        self.inputs.append(dict(request.input))
        self.seen.append((request.model_name, request.model_version, asked))
        self.deadlines.append(context.time_remaining())
        if failure := self.failures.pop(0) if self.failures else self.failure:
            await context.abort(*failure)
        return inference_pb2.PredictionResponse(prediction=(await self.answer(asked)).encode())

    async def _answer_batch(
        self, request: inference_pb2.PredictionsRequest, context: Any
    ) -> inference_pb2.PredictionResponse:
        batch = decode_requests(request.input[BATCH_FIELD])
        self.batches.append(batch)
        if failure := self.failures.pop(0) if self.failures else self.failure:
            await context.abort(*failure)
        answers = []
        for each in batch:
            assert isinstance(each.parsed, CommentaryRequest)
            self.earlier_samples = len(each.earlier_seeds)
            answers.append(await self.answer(each.parsed))
        return inference_pb2.PredictionResponse(prediction=encode_answers(answers).encode())


@dataclass
class Connection:
    """To TorchServe, as the supervisor has it: None while TorchServe is down."""

    inference: TorchServeInference | None


@dataclass
class Bench:
    """A gateway, what stands behind it, and a connection to it."""

    backend: LoopbackTorchServe
    table: RoutingTable
    gateway: Gateway
    channel: grpc.aio.Channel
    stub: commentary_pb2_grpc.CommentaryAsyncStub
    connection: Connection
    target: str

    async def generate(self, timeout_s: float | None = 5, **values: Any) -> commentary_pb2.GenerateResponse:
        return await self.stub.Generate(commentary_pb2.GenerateRequest(**values), timeout=timeout_s)

    async def health(self, service: str = "") -> str:
        stub: Any = health_pb2_grpc.HealthStub(cast("Any", self.channel))
        answer = await stub.Check(health_pb2.HealthCheckRequest(service=service))
        return health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status)


async def answer_well(_: CommentaryRequest) -> str:
    model = ModelIdentity(name="what the worker thinks", version="0")
    return encode_answer(
        CommentaryResponse(
            samples=(), model=model, genres_used=(), genres_unknown=("zydeco",), timings=Timings(decode_ms=0.5)
        )
    )


def route(version: str, *, slots: int = 100, contract: int = FIRST_CONTRACT, ranks_by_value: bool = False) -> Route:
    """A route to one worker, of which TorchServe holds at most so many requests."""
    info = ArchiveInfo(
        model="lcgan",
        version=version,
        sha256=version * 64,
        topics=("sound",),
        desired_topic="sound",
        num_genres=12,
        batch_size=slots // 2,
        contract=contract,
        ranks_by_value=ranks_by_value,
    )
    return make_route(info, workers=1)


@contextlib.asynccontextmanager
async def bench(
    answer: Answer = answer_well,
    *,
    slots: int = 100,
    recorder: Recorder | None = None,
    tracing: Tracing | None = None,
    access_log: AccessLog | None = None,
    host_name: str = "",
    **settings: Any,
) -> AsyncIterator[Bench]:
    backend = LoopbackTorchServe(answer)
    server = grpc.aio.server()
    inference_pb2_grpc.add_InferenceAPIsServiceServicer_to_server(backend, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    table = RoutingTable(("lcgan", "cvae"))
    for version in ("1", "2"):
        table.add(route(version, slots=slots))
    table.switch("lcgan", "2")
    table.settle("lcgan")
    table.settle("cvae")
    inference = TorchServeInference(f"127.0.0.1:{port}")
    connection = Connection(inference)
    gateway = Gateway(
        GatewaySettings(port=0, **settings),
        table=table,
        inference=lambda: connection.inference,
        recorder=recorder,
        tracing=tracing,
        access_log=access_log,
        host_name=host_name,
    )
    async with contextlib.AsyncExitStack() as stack:
        stack.push_async_callback(server.stop, None)
        await stack.enter_async_context(inference)
        stack.push_async_callback(gateway.stop)
        target = await gateway.start()
        channel = await stack.enter_async_context(grpc.aio.insecure_channel(target))
        stub: commentary_pb2_grpc.CommentaryAsyncStub = commentary_pb2_grpc.CommentaryStub(channel)
        yield Bench(
            backend=backend,
            table=table,
            gateway=gateway,
            channel=channel,
            stub=stub,
            connection=connection,
            target=target,
        )


async def until(condition: Callable[[], object]) -> None:
    while True:
        if condition():
            return
        await asyncio.sleep(0.01)


async def failure_of(call: Coroutine[Any, Any, object]) -> tuple[grpc.StatusCode, str, dict[str, str]]:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    metadata = {str(key): str(value) for key, value in caught.value.trailing_metadata() or ()}
    return caught.value.code(), caught.value.details() or "", metadata
