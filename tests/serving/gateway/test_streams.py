"""Streams of samples: parts of a request, one after the other, with one exposure at the end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
import pytest

from handlers.contract import (
    CONTRACT,
    CommentaryRequest,
    CommentaryResponse,
    ContractError,
    ErrorCode,
    ModelIdentity,
    Sample,
    Timings,
    encode_answer,
)
from serving.async_client import AsyncCommentaryClient
from serving.client import CommentaryClient, DeadlineError, UnavailableError, UnknownModelError
from serving.gateway.parts import part_sizes
from serving.oip import open_inference_pb2 as protocol
from serving.oip import open_inference_pb2_grpc
from serving.registry.contents import ArchiveInfo
from serving.traffic.exposures import Recorder
from serving.traffic.route import make_route
from serving.v1 import commentary_pb2
from tests.serving.gateway.test_metrics import handled
from tests.serving.loopback_gateway import Bench, bench, failure_of, until
from tests.serving.oip.asking import outputs_of, parameters_of, request


class Keeping(Recorder):
    """A recorder that remembers what it was told."""

    def __init__(self) -> None:
        super().__init__(None)
        self.answers: list[tuple[CommentaryRequest, CommentaryResponse]] = []
        self.failures: list[str] = []

    def record(self, request: CommentaryRequest, answer: Any, **_: Any) -> str:
        self.answers.append((request, answer))
        return f"key-{len(self.answers)}"

    def record_failure(self, *_: Any, code: str, **__: Any) -> str:
        self.failures.append(code)
        return ""


@asynccontextmanager
async def streams(
    recorder: Recorder | None = None,
    *,
    gate: asyncio.Event | None = None,
    fails: bool = False,
    pause_s: float = 0,
    **settings: Any,
) -> AsyncIterator[Bench]:
    """A gateway before a worker whose samples are numbered through all parts; later parts wait, or fail."""

    async def answer(asked: CommentaryRequest) -> str:
        earlier = it.backend.earlier_samples
        if earlier:
            await asyncio.sleep(pause_s)
        if gate is not None and earlier:
            await gate.wait()
        if fails and earlier:
            return encode_answer(ContractError(ErrorCode.INTERNAL, "", "the decode failed"))
        samples = tuple(
            Sample(text=f"text {number}", token_count=1, log_prob=-1.0, topics=(1.0,), seed=100 + number)
            for number in range(earlier, earlier + asked.num_samples)
        )
        model = ModelIdentity(name="what the worker thinks", version="0")
        return encode_answer(
            CommentaryResponse(
                samples=samples,
                model=model,
                genres_used=("pop",),
                genres_unknown=(),
                timings=Timings(decode_ms=2),
                request_id=asked.request_id,
            )
        )

    async with bench(answer, recorder=recorder, **settings) as it:
        info = ArchiveInfo(
            model="lcgan",
            version="4",
            sha256="4" * 64,
            topics=("sound",),
            desired_topic="sound",
            num_genres=1,
            batch_size=8,
            contract=CONTRACT,
        )
        it.table.add(make_route(info, workers=1, batching=it.connection.inference))
        it.table.switch("lcgan", "4")
        yield it


def texts(messages: list[commentary_pb2.GenerateStreamResponse]) -> list[list[str]]:
    return [[sample.text for sample in message.samples] for message in messages]


def stream(it: Bench, *, timeout_s: float | None = 5, **values: Any) -> Any:
    return it.stub.GenerateStream(commentary_pb2.GenerateRequest(**values), timeout=timeout_s)


def test_parts_are_all_samples_and_grow() -> None:
    for number in range(1, 65):
        sizes = list(part_sizes(number))
        assert sum(sizes) == number
        assert sizes[0] == 1
        assert len(sizes) <= 4


def test_samples_come_in_parts_and_the_end_has_the_rest_of_the_answer() -> None:
    async def scene() -> None:
        async with streams() as it:
            *parts, last = [message async for message in stream(it, num_samples=16, seed=7, request_id="r")]
            assert texts(parts) == [["text 0"], [f"text {n}" for n in (1, 2, 3)], [f"text {n}" for n in range(4, 16)]]
            assert all(not part.HasField("end") for part in parts)
            assert not last.samples
            assert (last.end.model.version, last.end.request_id, list(last.end.genres_used)) == ("4", "r", ["pop"])
            assert last.end.timings.decode_ms == 6.0
            assert not last.end.samples

    asyncio.run(scene())


def test_each_part_has_the_seed_of_the_request_and_tells_the_earlier_samples() -> None:
    async def scene() -> None:
        async with streams() as it:
            async for _ in stream(it, num_samples=16, seed=7, best_of=3):
                pass
            sent = [each for batch in it.backend.batches for each in batch]
            assert [each.earlier_seeds for each in sent] == [(), (100,), (100, 101, 102, 103)]
            asked = [each.parsed for each in sent if isinstance(each.parsed, CommentaryRequest)]
            assert [(each.num_samples, each.seed, each.best_of) for each in asked] == [(1, 7, 3), (3, 7, 3), (12, 7, 3)]

    asyncio.run(scene())


def test_without_a_seed_one_is_drawn_for_all_parts() -> None:
    async def scene() -> None:
        async with streams() as it:
            async for _ in stream(it, num_samples=5):
                pass
            seeds = {getattr(each.parsed, "seed", None) for batch in it.backend.batches for each in batch}
            assert len(seeds) == 1
            assert None not in seeds

    asyncio.run(scene())


def test_a_version_that_answers_no_parts_sends_all_samples_at_once() -> None:
    async def scene() -> None:
        async with streams() as it:
            first, last = [message async for message in stream(it, num_samples=5, version="1")]
            assert len(first.samples) == 5
            assert last.end.model.version == "1"
            assert [asked.num_samples for _, _, asked in it.backend.seen] == [5]

    asyncio.run(scene())


def test_a_stream_is_exposed_once_with_all_its_samples() -> None:
    async def scene() -> None:
        recorder = Keeping()
        async with streams(recorder) as it:
            messages = [message async for message in stream(it, num_samples=5, seed=7)]
            ((asked, answer),) = recorder.answers
            assert (asked.num_samples, asked.seed) == (5, 7)
            assert [sample.text for sample in answer.samples] == [f"text {number}" for number in range(5)]
            assert messages[-1].end.arms[0].exposure_id == "key-1"

    asyncio.run(scene())


def test_a_part_that_fails_ends_the_stream_with_its_status_and_one_failure() -> None:
    async def scene() -> None:
        recorder = Keeping()
        async with streams(recorder, fails=True) as it:
            call = stream(it, num_samples=5)
            assert len((await call.read()).samples) == 1
            code, details, _ = await failure_of(call.read())
            assert (code, details) == (grpc.StatusCode.INTERNAL, "the decode failed")
            assert recorder.answers == []
            assert recorder.failures == ["INTERNAL"]
            assert it.gateway.calls.in_flight == 0

    asyncio.run(scene())


async def _read_all(call: Any) -> None:
    while await call.read() is not grpc.aio.EOF:
        pass


@pytest.mark.parametrize("values", [{"num_samples": 0}, {"temperature": 9.0}, {"model": "gpt"}])
def test_what_generate_refuses_is_refused_in_the_same_words(values: dict[str, Any]) -> None:
    async def scene() -> None:
        async with streams() as it:
            assert await failure_of(_read_all(stream(it, **values))) == await failure_of(it.generate(**values))

    asyncio.run(scene())


def test_clients_that_leave_after_their_first_sample_leave_nothing_behind() -> None:
    async def scene() -> None:
        recorder = Keeping()
        async with streams(recorder, pause_s=0.02) as it:
            for _ in range(20):
                call = stream(it, num_samples=64)
                assert len((await call.read()).samples) == 1
                call.cancel()
            await until(lambda: handled(it).get(("GenerateStream", "CANCELLED")) == 20)
            await until(lambda: it.gateway.calls.in_flight == 0)
            route = it.table.route("lcgan", "4")
            assert route is not None
            await asyncio.wait_for(route.wait_idle(), 20)
            assert recorder.answers == []
            assert recorder.failures == []
            # Later parts of those who left are not asked for.
            assert max(len(each.earlier_seeds) for batch in it.backend.batches for each in batch) <= 1
            assert len([message async for message in stream(it, num_samples=1)]) == 2

    asyncio.run(scene())


def test_a_stream_takes_one_place_among_the_requests_in_flight() -> None:
    async def scene() -> None:
        gate = asyncio.Event()
        async with streams(gate=gate, max_in_flight=1) as it:
            call = stream(it, num_samples=5)
            await call.read()
            await until(lambda: len(it.backend.batches) == 2)
            assert it.gateway.calls.in_flight == 1
            assert (await failure_of(it.generate()))[0] is grpc.StatusCode.RESOURCE_EXHAUSTED
            gate.set()
            await _read_all(call)
            await until(lambda: it.gateway.calls.in_flight == 0)

    asyncio.run(scene())


def test_a_version_is_not_idle_between_two_parts() -> None:
    async def scene() -> None:
        async with streams() as it:
            route = it.table.route("lcgan", "4")
            assert route is not None
            with route.admission.kept():
                waiting = asyncio.create_task(route.wait_idle())
                await asyncio.sleep(0.01)
                assert not waiting.done()
            await asyncio.wait_for(waiting, 20)

    asyncio.run(scene())


def test_a_drain_waits_for_the_end_of_a_stream_and_takes_no_new_one() -> None:
    async def scene() -> None:
        gate = asyncio.Event()
        async with streams(gate=gate) as it:
            call = stream(it, num_samples=5)
            await call.read()
            stopping = asyncio.create_task(it.gateway.stop())
            await asyncio.sleep(0.05)
            code, details, _ = await failure_of(_read_all(stream(it)))
            assert code is grpc.StatusCode.UNAVAILABLE
            assert "shutting down" in details
            assert not stopping.done()
            gate.set()
            assert (await call.read()).samples
            assert (await call.read()).end.model.version == "4"
            await asyncio.wait_for(stopping, 3)

    asyncio.run(scene())


def test_a_stream_has_one_deadline() -> None:
    async def scene() -> None:
        async with streams(gate=asyncio.Event(), max_deadline_s=0.3) as it:
            call = stream(it, num_samples=5, timeout_s=None)
            await call.read()
            code, _, _ = await failure_of(call.read())
            assert code is grpc.StatusCode.DEADLINE_EXCEEDED

    asyncio.run(scene())


def test_a_stream_is_counted_as_one_call() -> None:
    async def scene() -> None:
        async with streams() as it:
            await _read_all(stream(it, num_samples=5))
            await failure_of(_read_all(stream(it, num_samples=0)))
            assert handled(it)["GenerateStream", "OK"] == 1
            assert handled(it)["GenerateStream", "INVALID_ARGUMENT"] == 1

    asyncio.run(scene())


def test_the_client_yields_samples_as_they_come_and_translates_failures() -> None:
    async def scene() -> None:
        async with streams() as it:

            def ask() -> list[list[str]]:
                with CommentaryClient(it.target) as client:
                    parts = list(client.generate_stream(CommentaryRequest(num_samples=5, seed=7)))
                    with pytest.raises(UnknownModelError):
                        next(client.generate_stream(CommentaryRequest(), version=9))
                    with pytest.raises(DeadlineError):
                        list(client.generate_stream(CommentaryRequest(num_samples=5), timeout_s=1e-3))
                with pytest.raises(UnavailableError):
                    next(client.generate_stream(CommentaryRequest()))
                return [[sample.text for sample in part] for part in parts]

            assert await asyncio.to_thread(ask) == [["text 0"], [f"text {number}" for number in range(1, 5)]]

    asyncio.run(scene())


def test_the_client_for_asyncio_yields_the_same_samples() -> None:
    async def scene() -> None:
        async with streams() as it, AsyncCommentaryClient(it.target) as client:
            asked = CommentaryRequest(num_samples=5, seed=7)
            parts = [part async for part in client.generate_stream(asked)]
            assert [len(part) for part in parts] == [1, 4]
            assert parts[0][0].text == "text 0"
            with pytest.raises(UnknownModelError):
                await anext(client.generate_stream(asked, version=9))
            stream = client.generate_stream(asked)
            await anext(stream)
            await stream.aclose()
            await until(lambda: it.gateway.calls.in_flight == 0)

    asyncio.run(scene())


def test_a_stream_that_its_client_closes_ends() -> None:
    async def scene() -> None:
        async with streams(gate=asyncio.Event()) as it:

            def ask() -> int:
                with CommentaryClient(it.target) as client:
                    stream = client.generate_stream(CommentaryRequest(num_samples=5))
                    first = next(stream)
                    stream.close()
                    return len(first)

            assert await asyncio.to_thread(ask) == 1
            await until(lambda: handled(it).get(("GenerateStream", "CANCELLED")) == 1)

    asyncio.run(scene())


def oip_stream(it: Bench, *messages: protocol.ModelInferRequest) -> Any:
    stub: Any = open_inference_pb2_grpc.GRPCInferenceServiceStub(it.channel)
    return stub.ModelStreamInfer(iter(messages), timeout=5)


def test_each_sample_is_an_answer_of_the_open_inference_protocol() -> None:
    async def scene() -> None:
        async with streams(Keeping()) as it:
            asked = request(parameters={"num_samples": 5, "seed": 7}, outputs=["text"], request_id="r")
            asked.parameters["triton_enable_empty_final_response"].bool_param = True
            answers = [message.infer_response async for message in oip_stream(it, asked)]
            assert [outputs_of(each)["text"][1] for each in answers] == [[f"text {number}"] for number in range(5)]
            assert {(each.model_name, each.model_version, each.id) for each in answers} == {("lcgan", "4", "r")}
            assert [parameters_of(each)["triton_final_response"] for each in answers] == [False] * 4 + [True]
            assert [parameters_of(each)["exposure_id"] for each in answers] == [""] * 4 + ["key-1"]

    asyncio.run(scene())


def test_a_request_that_fails_does_not_end_the_stream_of_the_protocol() -> None:
    async def scene() -> None:
        async with streams() as it:
            wrong, right = request({"prompt": ["x"]}, request_id="a"), request(parameters={"num_samples": 1})
            first, second = [message async for message in oip_stream(it, wrong, right)]
            assert first.error_message.startswith("prompt: is not an input")
            assert first.infer_response.id == "a"
            assert not second.error_message
            assert outputs_of(second.infer_response)["text"][1] == ["text 0"]

    asyncio.run(scene())


def test_an_open_stream_without_a_request_does_not_hold_a_drain_and_takes_no_new_one() -> None:
    async def scene() -> None:
        async with streams() as it:
            stub: Any = open_inference_pb2_grpc.GRPCInferenceServiceStub(it.channel)
            call = stub.ModelStreamInfer(timeout=5)
            await call.write(request(parameters={"num_samples": 1}))
            assert (await call.read()).infer_response.model_version == "4"
            await asyncio.wait_for(it.gateway.stop(), 3)
            code, details, _ = await failure_of(call.read())
            assert code is grpc.StatusCode.UNAVAILABLE
            assert "shutting down" in details

    asyncio.run(scene())
