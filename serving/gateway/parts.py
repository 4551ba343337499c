"""Answers in parts: the samples of a request are sent to its client while later ones are decoded.

A worker host gives one answer to a call (TorchServe's streams can leave a worker dead). So a request is asked for in
parts, one after the other, each a call of its own: one sample, then three times as many as there are. A part tells the
worker the seeds of the earlier samples, so the samples are those of the whole request, to the last bit.
"""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Final

import grpc

from handlers.contract import CommentaryRequest, CommentaryResponse, Sample, Timings
from serving import wire
from serving.v1 import commentary_pb2
from serving.workers.faults import InferenceError

AskPart = Callable[[CommentaryRequest, Sequence[int]], Awaitable[CommentaryResponse]]
"""Function that asks for a part of a request. Its arguments are the request with the part's number of samples, and the
seeds of the earlier samples."""
SendPart = Callable[[commentary_pb2.GenerateResponse], Awaitable[None]]
"""Function that sends samples that are ready, with their version, to a client, and waits until it has room for them."""

_GROWTH: Final = 3
"""Size of a part, as a multiple of all earlier samples. A worker decodes few sequences hardly faster than many: parts
of four, or parts that only double, take half as long again as the whole (docs/decisions/0018)."""


def part_sizes(num_samples: int) -> Iterator[int]:
    """Yield the numbers of samples of a request's parts. The last one takes what would be less than its own size.

    >>> list(part_sizes(16)), list(part_sizes(5))
    ([1, 3, 12], [1, 4])
    """
    left = num_samples
    while left:
        size = max(1, _GROWTH * (num_samples - left))
        size = left if left < 2 * size else size
        yield size
        left -= size


class Place:
    """Place of a request among those in flight, which its parts hold together.

    Args:
        release: called when nothing holds the place any more.
    """

    def __init__(self, release: Callable[[], None]) -> None:
        self._release = release
        self._holders = 0

    def join(self) -> None:
        """Add a holder."""
        self._holders += 1

    def leave(self) -> None:
        """Take a holder away."""
        self._holders -= 1
        if self._holders == 0:
            self._release()


async def answer_in_parts(
    request: CommentaryRequest, ask: AskPart, send: SendPart, *, split: bool, remaining_s: Callable[[], float]
) -> CommentaryResponse:
    """Send the samples of a request as they come, and return the whole answer.

    Args:
        request: the request, with a seed.
        ask: asks for a part, and signs the answer with the version.
        send: sends the samples of a part to the client.
        split: whether the version answers parts; if not, all samples are one.
        remaining_s: returns the time that is left for the answer, in seconds.

    Raises:
        InferenceError: a part fails, or the client does not take its samples in time.
    """
    answers: list[CommentaryResponse] = []
    samples: list[Sample] = []
    for size in part_sizes(request.num_samples) if split else (request.num_samples,):
        part = dataclasses.replace(request, num_samples=size)
        answer = await ask(part, [sample.seed for sample in samples])
        await send_in_time(wire.response_to_message(answer), send, remaining_s())
        answers.append(answer)
        samples += answer.samples
    decode_ms = sum(answer.timings.decode_ms for answer in answers)
    return dataclasses.replace(answers[0], samples=tuple(samples), timings=Timings(decode_ms=decode_ms))


async def send_in_time(part: commentary_pb2.GenerateResponse, send: SendPart, timeout_s: float) -> None:
    """Send samples to a client that takes them within some seconds.

    Raises:
        InferenceError: CANCELLED: it does not. No version is at fault.
    """
    try:
        async with asyncio.timeout(timeout_s):
            await send(part)
    except TimeoutError as cause:
        reason = "the client did not take the samples within the deadline"
        raise InferenceError(grpc.StatusCode.CANCELLED, reason) from cause
