"""Requests to a running gateway, some at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

import grpc

from benchmarks.serving.errors import ServerError
from benchmarks.serving.run import GATEWAY, RunningServer
from handlers.contract import CommentaryRequest
from serving import wire
from serving.v1 import commentary_pb2, commentary_pb2_grpc

_DEADLINE_S: Final = 30.0


async def ask_all(
    server: RunningServer,
    model: str,
    request: Callable[[int], CommentaryRequest],
    take: Callable[[int, commentary_pb2.GenerateResponse], None],
    *,
    number: int,
    clients: int,
) -> None:
    """Ask for requests by number, and give each answer on with its number.

    Args:
        server: server with a gateway.
        model: name of the model.
        request: returns the request of a number.
        take: takes the answer.
        number: number of requests.
        clients: requests in flight.

    Raises:
        ServerError: a request failed.
    """
    numbers = iter(range(number))
    async with grpc.aio.insecure_channel(server.address(GATEWAY), options=[("grpc.enable_http_proxy", 0)]) as channel:
        generate = commentary_pb2_grpc.CommentaryStub(channel).Generate

        async def ask_on() -> None:
            for each in numbers:
                message = wire.request_to_message(request(each), model=model, version=None)
                take(each, await generate(message, timeout=_DEADLINE_S, wait_for_ready=True))

        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(clients):
                    group.create_task(ask_on())
        except* grpc.aio.AioRpcError as failures:
            failure = failures.exceptions[0]
            raise ServerError(f"a request failed: {failure}") from failures
