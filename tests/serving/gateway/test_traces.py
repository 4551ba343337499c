from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from handlers.contract import (
    CONTRACT,
    TRACES_CONTRACT,
    BatchTimes,
    CommentaryRequest,
    CommentaryResponse,
    ModelIdentity,
    Sample,
    encode_answer,
)
from serving.client import CommentaryClient, UnknownModelError
from serving.telemetry.context import TraceContext
from serving.telemetry.tracing import Tracing, open_tracing
from serving.traffic.exposures import Recorder, parse_exposure
from serving.traffic.segments import ExposureSettings, Segments
from serving.v1 import commentary_pb2
from tests.serving.collector import Collector, Received, collecting
from tests.serving.loopback_gateway import Bench, bench, failure_of, route, until

PARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
TRACE_ID = PARENT.split("-")[1]
SECRETS = ("The Lanterns", "Slow Tide", "dream pop")

Scene = Callable[[Bench], Awaitable[None]]


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[Collector]:
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "50")
    with collecting() as collector:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
        yield collector


@pytest.fixture
def tracing(collector: Collector) -> Iterator[Tracing]:
    assert collector.url
    with open_tracing("a-gateway") as opened:
        assert opened is not None
        yield opened[0]


async def _answer(request: CommentaryRequest) -> str:
    now = time.monotonic()
    await asyncio.sleep(0.02)
    sample = Sample(text="a", token_count=9, log_prob=-1.0, topics=(1.0,), seed=3)
    times = BatchTimes(
        started=now,
        decode_started=now + 0.001,
        decode_ended=now + 0.01,
        ended=now + 0.015,
        requests=1,
        sequences=2,
        tokens=21,
    )
    return encode_answer(
        CommentaryResponse(
            samples=(sample,) * request.num_samples,
            model=ModelIdentity(name="lcgan", version="3"),
            genres_used=(),
            genres_unknown=(),
            batch=times,
        )
    )


def _play(scene: Scene, **options: Any) -> None:
    async def play() -> None:
        async with bench(_answer, **options) as it:
            it.table.add(route("3", contract=CONTRACT))
            await scene(it)

    asyncio.run(play())


def _tree(spans: list[Received]) -> dict[str, str]:
    """Name of the parent of each span, by its name."""
    by_id = {span.span_id: span.name for span in spans}
    return {span.name: by_id.get(span.parent_id, "") for span in spans}


def test_a_request_has_a_span_for_each_stage_in_the_clients_trace(collector: Collector, tracing: Tracing) -> None:
    async def scene(it: Bench) -> None:
        answer = await it.stub.Generate(
            _message(version="3", seed=7, unit="post:1", request_id="r1"), metadata=(("traceparent", PARENT),)
        )
        assert answer.trace_id == TRACE_ID

    _play(scene, tracing=tracing)
    spans = collector.wait_for(6, trace_id=TRACE_ID)
    call = "deephypebot.v1.Commentary/Generate"
    predictions = "org.pytorch.serve.grpc.inference.InferenceAPIsService/Predictions"
    assert _tree(spans) == {
        call: "",
        "admission wait": call,
        "batch wait": call,
        predictions: call,
        "worker batch": predictions,
        "decode": "worker batch",
    }
    found = {span.name: span for span in spans}
    assert found[call].parent_id == PARENT.split("-")[2]
    assert {name for name, span in found.items() if span.service == "deephypebot-worker"} == {"worker batch", "decode"}
    for name, above in _tree(spans).items():
        if above:
            assert found[above].start_ns <= found[name].start_ns <= found[name].end_ns <= found[above].end_ns + 10**6
    assert found["worker batch"].attributes["deephypebot.batch.tokens"] == 21
    assert {span.attributes.get("gen_ai.response.model") for span in spans if span.name != "decode"} == {"lcgan/3"}
    attributes = found[call].attributes
    assert attributes["gen_ai.request.model"] == "lcgan"
    assert attributes["gen_ai.response.model"] == "lcgan/3"
    assert attributes["gen_ai.usage.output_tokens"] == 9 * attributes["gen_ai.request.choice.count"]
    assert attributes["rpc.response.status_code"] == "OK"
    assert (attributes["gen_ai.request.seed"], attributes["deephypebot.request.id"]) == (7, "r1")
    evaluation = found[call].events["feature_flag.evaluation"]
    assert (evaluation["feature_flag.key"], evaluation["feature_flag.result.variant"]) == ("lcgan", "3")
    assert evaluation["feature_flag.result.reason"] == "targeting_match"
    assert evaluation["feature_flag.context.id"] == "post:1"


def _message(**values: Any) -> commentary_pb2.GenerateRequest:
    song = {"artist": SECRETS[0], "title": SECRETS[1], "genres": [SECRETS[2]]}
    return commentary_pb2.GenerateRequest(**{**song, **values})


async def _ask(it: Bench, **values: Any) -> commentary_pb2.GenerateResponse:
    return await it.stub.Generate(_message(**values))


def test_no_span_tells_the_song_nor_the_text(collector: Collector, tracing: Tracing) -> None:
    async def scene(it: Bench) -> None:
        await it.stub.Generate(_message(version="3"))
        await failure_of(_ask(it, version="3", topic="x" * 201))
        await failure_of(_ask(it, version="99"))

    _play(scene, tracing=tracing)
    written = repr(collector.wait_for(8))
    assert not [secret for secret in (*SECRETS, "xxx") if secret in written]


@pytest.mark.parametrize(
    ("values", "code", "message"),
    [({"version": "99"}, "NOT_FOUND", "99"), ({"num_samples": 0}, "INVALID_ARGUMENT", "")],
)
def test_a_refused_request_has_a_span_with_its_status(
    values: dict[str, Any], code: str, message: str, collector: Collector, tracing: Tracing
) -> None:
    async def scene(it: Bench) -> None:
        await failure_of(_ask(it, **values))

    _play(scene, tracing=tracing)
    (span,) = collector.wait_for(1)
    assert span.is_error
    assert span.attributes["rpc.response.status_code"] == code
    assert message in span.message
    assert span.parent_id == ""


def test_a_request_that_lost_its_worker_has_a_span_for_each_attempt(collector: Collector, tracing: Tracing) -> None:
    async def scene(it: Bench) -> None:
        it.backend.failures.append((grpc.StatusCode.RESOURCE_EXHAUSTED, "Worker died."))
        await it.stub.Generate(_message(version="3"))

    _play(scene, tracing=tracing)
    calls = [span for span in collector.wait_for(8) if span.kind == 3]
    assert [(span.attributes["deephypebot.attempt"], span.is_error) for span in calls] == [(1, True), (2, False)]


def test_a_client_that_leaves_ends_its_spans(collector: Collector, tracing: Tracing) -> None:
    async def never(_: CommentaryRequest) -> str:
        await asyncio.Event().wait()
        return ""

    async def scene(it: Bench) -> None:
        it.backend.answer = never
        call = it.stub.Generate(_message(version="3"))
        await until(lambda: it.backend.seen)
        call.cancel()
        await asyncio.gather(call, return_exceptions=True)
        await asyncio.to_thread(collector.wait_for, 1)

    _play(scene, tracing=tracing)
    (call,) = [span for span in collector.spans if span.name.endswith("Generate")]
    assert call.attributes["rpc.response.status_code"] == "CANCELLED"


def test_only_archives_that_read_it_are_sent_the_trace(tracing: Tracing) -> None:
    async def scene(it: Bench) -> None:
        it.table.add(route("4", contract=TRACES_CONTRACT - 1))
        for version in ("1", "3", "4"):
            await it.stub.Generate(_message(version=version))
        sent = [TraceContext.parse(fields.get("traceparent", b"").decode()) for fields in it.backend.inputs]
        assert [context is not None for context in sent] == [False, True, False]

    _play(scene, tracing=tracing)


def test_without_tracing_the_answer_still_names_the_clients_trace_and_the_worker_gets_none(tmp_path: Path) -> None:
    segments = Segments(ExposureSettings(folder=tmp_path))

    async def scene(it: Bench) -> None:
        assert (await it.stub.Generate(_message(version="3"))).trace_id == ""
        named = await it.stub.Generate(_message(version="3", traceparent=PARENT))
        assert named.trace_id == TRACE_ID
        assert not [fields for fields in it.backend.inputs if "traceparent" in fields]

    _play(scene, recorder=Recorder(segments))
    segments.close()
    lines = [line for path in tmp_path.rglob("*.jsonl") for line in path.read_bytes().splitlines()]
    assert [parse_exposure(line).trace_id for line in lines] == ["", TRACE_ID]
    assert "trace_id" not in json.loads(lines[0])


def test_the_span_of_an_answer_names_its_exposure_by_which_a_verdict_is_found(
    collector: Collector, tracing: Tracing, tmp_path: Path
) -> None:
    segments = Segments(ExposureSettings(folder=tmp_path))

    async def scene(it: Bench) -> None:
        answer = await it.stub.Generate(_message(version="3", traceparent=PARENT))
        assert answer.arms[0].exposure_id

    _play(scene, tracing=tracing, recorder=Recorder(segments))
    segments.close()
    (line,) = [line for path in tmp_path.rglob("*.jsonl") for line in path.read_bytes().splitlines()]
    call = next(span for span in collector.wait_for(6, trace_id=TRACE_ID) if span.name.endswith("Generate"))
    assert call.attributes["gen_ai.response.id"] == parse_exposure(line).id


def test_a_trace_that_is_not_recorded_costs_no_span(collector: Collector, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "always_off")

    async def scene(it: Bench) -> None:
        assert (await it.stub.Generate(_message(version="3"))).trace_id == ""
        assert (await it.stub.Generate(_message(version="3", traceparent=PARENT))).trace_id == TRACE_ID
        assert not [fields for fields in it.backend.inputs if "traceparent" in fields]

    with open_tracing("a-gateway") as opened:
        assert opened is not None
        _play(scene, tracing=opened[0])
    assert not collector.spans


def test_a_call_of_the_client_is_a_span_above_the_gateways(
    collector: Collector, tracing: Tracing, monkeypatch: pytest.MonkeyPatch
) -> None:
    provider = TracerProvider(shutdown_on_exit=False)
    monkeypatch.setattr(trace, "get_tracer", provider.get_tracer)
    kept = InMemorySpanExporter()
    provider.add_span_processor(SimpleSpanProcessor(kept))

    async def scene(it: Bench) -> None:
        with CommentaryClient(it.target) as client:
            answer = await asyncio.to_thread(client.generate, CommentaryRequest(num_samples=1), version="3")
            with pytest.raises(UnknownModelError):
                await asyncio.to_thread(client.generate, CommentaryRequest(num_samples=1), version="99")
        done, failed = kept.get_finished_spans()
        assert done.context is not None
        assert answer.trace_id == f"{done.context.trace_id:032x}"
        spans = await asyncio.to_thread(collector.wait_for, 6, trace_id=answer.trace_id)
        assert {span.parent_id for span in spans if span.kind == 2} >= {f"{done.context.span_id:016x}"}
        assert not failed.status.is_ok

    _play(scene, tracing=tracing)
