"""A bare grpc.aio server: one event loop that collects batches, and a process per worker that decodes them."""

from __future__ import annotations

import asyncio
import multiprocessing
import signal
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any, Final

import grpc

from benchmarks.serving.programs.served import Served
from benchmarks.serving.programs.settings import ServerSettings, announce, server_settings
from foundation.defaults import LOOPBACK

SERVICE: Final = "bench.Commentary"
METHOD: Final = "Answer"

_Waiting = tuple[bytes, asyncio.Future[str]]
_models: Final[list[Served]] = []
"""Model of a worker process, loaded at its start."""


def main() -> None:
    """Serve until the benchmark ends the program."""
    asyncio.run(serve(server_settings()))


async def serve(settings: ServerSettings) -> None:
    """Serve until SIGTERM."""
    pool = ProcessPoolExecutor(
        settings.workers,
        mp_context=multiprocessing.get_context("spawn"),
        initializer=_load,
        initargs=(settings.model, settings.threads),
    )
    with pool:
        waiting: asyncio.Queue[_Waiting] = asyncio.Queue()
        loop = asyncio.get_running_loop()
        # A pool starts a process per task, so as many tasks as workers start all of them.
        await asyncio.gather(*(loop.run_in_executor(pool, _answer, []) for _ in range(settings.workers)))
        feeders = [asyncio.create_task(_feed(waiting, pool, settings)) for _ in range(settings.workers)]
        server = grpc.aio.server()
        server.add_generic_rpc_handlers((_handlers(waiting),))
        server.add_insecure_port(f"{LOOPBACK}:{settings.port}")
        await server.start()
        ended = asyncio.Event()
        loop.add_signal_handler(signal.SIGTERM, ended.set)
        announce(settings, grpc=f"{LOOPBACK}:{settings.port}")
        await ended.wait()
        await server.stop(0)
        for feeder in feeders:
            feeder.cancel()


def _handlers(waiting: asyncio.Queue[_Waiting]) -> grpc.GenericRpcHandler:
    async def answer(payload: bytes, _: Any) -> bytes:
        done: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        waiting.put_nowait((payload, done))
        return (await done).encode()

    return grpc.method_handlers_generic_handler(SERVICE, {METHOD: grpc.unary_unary_rpc_method_handler(answer)})


async def _feed(waiting: asyncio.Queue[_Waiting], pool: ProcessPoolExecutor, settings: ServerSettings) -> None:
    """Feed one worker with batches, each sent when it is full or its oldest request has waited for the delay."""
    loop = asyncio.get_running_loop()
    while True:
        batch = await gather(waiting, settings.batch_size, settings.delay_ms / 1000)
        try:
            answers = await loop.run_in_executor(pool, _answer, [payload for payload, _ in batch])
        except Exception as fault:  # noqa: BLE001 - it is passed to the clients, and the feeder continues
            for _, done in batch:
                if not done.done():
                    done.set_exception(fault)
            continue
        for (_, done), text in zip(batch, answers, strict=True):
            if not done.done():
                done.set_result(text)


async def gather(waiting: asyncio.Queue[_Waiting], size: int, delay_s: float) -> list[_Waiting]:
    """Collect the next batch: at most `size` requests, for at most `delay_s` after the first of them."""
    batch = [await waiting.get()]
    closes = asyncio.get_running_loop().time() + delay_s
    while len(batch) < size:
        try:
            async with asyncio.timeout_at(closes):
                batch.append(await waiting.get())
        except TimeoutError:
            break
    return batch


def _load(model: Path, threads: int) -> None:
    _models.append(Served(model, threads=threads))


def _answer(payloads: list[bytes]) -> list[str]:
    return _models[0].answer(payloads)


if __name__ == "__main__":
    main()
