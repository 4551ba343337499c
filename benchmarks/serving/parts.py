"""Processor time of the gateway's parts, one by one, in microseconds a request.

Each part is called alone, in a loop, with the values of a request for five samples. Their sum is less than what the
gateway needs for a request: the rest is grpc.aio and asyncio.
"""

from __future__ import annotations

import asyncio
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import cycle
from pathlib import Path
from typing import Final

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

from handlers.batches import decode_answers, encode_answers, encode_requests
from handlers.contract import (
    BatchTimes,
    CommentaryRequest,
    CommentaryResponse,
    FinishReason,
    ModelIdentity,
    Sample,
    Timings,
    encode_answer,
)
from handlers.reference import Distribution, Reference
from serving import wire
from serving.gateway.call_spans import Answered, CallRecord
from serving.registry.contents import ArchiveInfo
from serving.security.access import Access
from serving.security.clients import Client, ClientBook
from serving.security.settings import ClientLimits
from serving.security.tokens import new_token
from serving.telemetry.course import Course
from serving.telemetry.spans import SpanBatch, empty_message
from serving.traffic.admission.admission import Admission
from serving.traffic.admission.counts import AdmissionCounts
from serving.traffic.admission.lanes import AdmissionLimits
from serving.traffic.admission.work import work_of
from serving.traffic.drift_book import REMEMBERED_SONGS, DriftBook
from serving.traffic.exposures import Recorder
from serving.traffic.figures import FigureBook
from serving.traffic.policy import Arm, AssignedBy, TrafficPolicy
from serving.traffic.segments import ExposureSettings, Segments

REQUEST: Final = CommentaryRequest(genres=("dream pop", "shoegaze"), artist="A", title="T", unit="u" * 20, seed=7)
RESPONSE: Final = CommentaryResponse(
    samples=tuple(
        Sample(
            text="A sentence of about a hundred characters, as somebody might have written it about a long song.",
            token_count=24,
            log_prob=-31.25,
            topics=(0.125,) * 8,
            seed=seed,
            finish_reason=FinishReason.STOP,
        )
        for seed in range(5)
    ),
    model=ModelIdentity(name="lcgan", version="2", archive_sha256="ab" * 32),
    genres_used=("dream pop",),
    genres_unknown=(),
    timings=Timings(queue_ms=1.5, decode_ms=30.25),
)
_INFO: Final = ArchiveInfo(
    model="lcgan",
    version="2",
    sha256="ab" * 32,
    topics=("sound",),
    desired_topic="sound",
    num_genres=1,
    batch_size=64,
)
_BATCH: Final = 32
"""Requests in a batch, of which each has its part of the conversions."""


def part_costs(*, repeats: int = 7, calls: int = 2000) -> dict[str, float]:
    """Return the median processor time of each part, in microseconds a request.

    Args:
        repeats: measurements of each part.
        calls: calls in a measurement.
    """
    with _exposing() as recorder:
        parts: dict[str, Callable[[], object]] = {
            "assignment": _assigning(),
            "exposure": lambda: recorder.record(REQUEST, RESPONSE, info=_INFO, by=AssignedBy.UNIT, revision="ab" * 6),
            "figures": _noting(),
            "drift": _watching(),
            "access": _letting_in(),
            "spans": _writing_spans(),
            "request_conversions": _request_conversions(),
            "answer_conversions": _answer_conversions(),
        }
        costs = {name: _microseconds(part, repeats, calls) for name, part in parts.items()}
    return {**costs, "admission": asyncio.run(_admission_us(repeats, calls))}


def _microseconds(part: Callable[[], object], repeats: int, calls: int) -> float:
    found = []
    for _ in range(repeats):
        began = time.process_time()
        for _ in range(calls):
            part()
        found.append(time.process_time() - began)
    return 1e6 * statistics.median(found) / calls


@contextmanager
def _exposing() -> Iterator[Recorder]:
    with tempfile.TemporaryDirectory() as folder:
        segments = Segments(ExposureSettings(folder=Path(folder)))
        try:
            yield Recorder(segments)
        finally:
            segments.close()


def _assigning() -> Callable[[], object]:
    policy = TrafficPolicy(model="lcgan", arms=(Arm(version="1", share=0.8), Arm(version="2", share=0.2)), salt="lcgan")
    return lambda: policy.assign("u" * 20, lambda: 0.5)


def _letting_in() -> Callable[[], object]:
    token, stored = new_token(created=0.0, expires=None)
    limits = ClientLimits(max_calls=64, max_connections=8, requests_per_s=1e9)
    book = ClientBook([Client(name="bench", tokens=(stored,), limits=limits)])
    access = Access(ClientLimits(), lambda: book)
    return lambda: access.enter(f"Bearer {token}", "ipv4:127.0.0.1:50000").close()


def _writing_spans() -> Callable[[], object]:
    """Write the six spans of a traced request, and one request's part of the bytes that are sent."""
    resource = Resource({"service.name": "bench"})
    empty = empty_message([resource, resource], InstrumentationScope("bench", "0"))
    course = Course(trace_id=7, model="lcgan", version="2")
    attempt = course.begin_attempt()
    now = attempt.asked
    attempt.sent, attempt.ended, attempt.batch_id, attempt.batch_requests = now, now, "ab" * 8, _BATCH
    attempt.times = BatchTimes(
        started=now, decode_started=now, decode_ended=now, ended=now, requests=_BATCH, sequences=5 * _BATCH, tokens=1
    )
    call = CallRecord(trace_id=7, parent=None, model="lcgan", started=now, courses=[course], request=REQUEST)
    call.answered = Answered.of(wire.response_to_message(RESPONSE))
    call.end(None)

    def write() -> object:
        batch = SpanBatch(empty)
        for _ in range(_BATCH):
            call.write(batch)
        return batch.to_bytes()

    return _every(_BATCH, write)


def _noting() -> Callable[[], object]:
    book = FigureBook()
    return lambda: book.of("lcgan", "2").add_answer(queue_s=0.0015, backend_s=0.03)


def _watching() -> Callable[[], object]:
    """Compare a request and its answer with a reference of as many topics as the samples have."""
    reference = Reference(
        genres={"dream pop": 0.5, "shoegaze": 0.25, "techno": 0.25},
        unknown=0.02,
        num_tokens=Distribution(mean=24.0, sd=8.0),
        token_log_prob=Distribution(mean=-1.3, sd=0.4),
        topics=(0.125,) * 8,
        num_samples=250,
    )
    book, info = DriftBook(), replace(_INFO, reference=reference)
    # Songs that are asked for again are passed over; these are more than the book remembers.
    requests = cycle([replace(REQUEST, title=f"T {number}") for number in range(2 * REMEMBERED_SONGS)])
    return lambda: book.note(info, next(requests), RESPONSE, "0" * 32)


def _request_conversions() -> Callable[[], object]:
    """From the client's message to the JSON of a batch."""
    message = wire.request_to_message(REQUEST, model="lcgan", version=None)

    def convert() -> object:
        payload = wire.request_from_message(message).to_json()
        return encode_requests([(payload, 12345.678, "", ())])

    return convert


def _answer_conversions() -> Callable[[], object]:
    """From the JSON of a batch to the message for the client, one request's part of it."""
    payload = encode_answers([encode_answer(RESPONSE)] * _BATCH).encode()

    def convert() -> object:
        answers = decode_answers(payload, count=_BATCH)
        return [
            wire.response_to_message(answer).SerializeToString()
            for answer in answers
            if isinstance(answer, CommentaryResponse)
        ]

    # A call converts a whole batch.
    return _every(_BATCH, convert)


def _every(number: int, part: Callable[[], object]) -> Callable[[], object]:
    """Return a function that calls another one in one of so many calls."""
    turn = 0

    def call() -> object:
        nonlocal turn
        turn = (turn + 1) % number
        return part() if turn == 0 else None

    return call


async def _admission_us(repeats: int, calls: int) -> float:
    """Admission with a worker that answers at once, less the time of asking that worker alone."""
    limits = AdmissionLimits(workers=2, batch_size=64, batch_delay_s=0.002, response_timeout_s=60.0)
    admission, counts = Admission(limits), AdmissionCounts()
    work = work_of(REQUEST, default_best_of=16)

    async def answered(_: float, started: Callable[[], None]) -> CommentaryResponse:
        started()
        return RESPONSE

    async def admitted() -> object:
        return await admission.ask(work, answered, heavy=False, deadline=time.monotonic() + 30, counts=counts)

    found = [
        await _seconds(admitted, calls) - await _seconds(lambda: answered(0.0, _nothing), calls) for _ in range(repeats)
    ]
    return 1e6 * statistics.median(found) / calls


def _nothing() -> None:
    """Do nothing when a request is sent."""


async def _seconds(part: Callable[[], Awaitable[object]], calls: int) -> float:
    began = time.process_time()
    for _ in range(calls):
        await part()
    return time.process_time() - began
