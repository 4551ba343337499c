"""The gateway before a loopback server that speaks TorchServe's protocol, so that every answer can be had at will."""

from __future__ import annotations

import asyncio
import json
import random
import socket
import time
from typing import Any, cast

import grpc
import pytest
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from handlers.contract import (
    CONTRACT,
    INPUT_FIELD,
    START_BY_FIELD,
    CommentaryRequest,
    ContractError,
    ErrorCode,
    encode_answer,
)
from serving.errors import PortInUseError, ServingError
from serving.gateway import accepting
from serving.gateway.server import Gateway
from serving.gateway.settings import GatewaySettings
from serving.security.settings import SecuritySettings
from serving.torchserve.faults import failure_in, translate
from serving.traffic.policy import Arm, TrafficPolicy
from serving.traffic.routes import RoutingTable
from serving.v1 import commentary_pb2, commentary_pb2_grpc
from serving.workers.faults import Failure
from tests.serving.loopback_gateway import Bench, answer_well, bench, failure_of, route, until

CODES = [code for code in grpc.StatusCode if code is not grpc.StatusCode.OK]


def test_the_champion_answers_and_the_gateway_says_who_it_was() -> None:
    async def scene() -> None:
        async with bench() as it:
            answer = await it.generate(genres=["zydeco"], request_id="r")
            assert (answer.model.name, answer.model.version, answer.model.archive_sha256) == ("lcgan", "2", "2" * 64)
            assert list(answer.genres_unknown) == ["zydeco"]
            assert answer.timings.decode_ms == 0.5
            assert 0 < answer.timings.queue_ms < 5000
            ((model, version, request),) = it.backend.seen
            assert (model, version, request.genres, request.request_id) == ("lcgan", "2", ("zydeco",), "r")

    asyncio.run(scene())


def test_a_pinned_version_answers() -> None:
    async def scene() -> None:
        async with bench() as it:
            assert (await it.generate(version="1")).model.version == "1"

    asyncio.run(scene())


def test_a_unit_has_the_version_that_the_policy_gives_it() -> None:
    async def scene() -> None:
        async with bench() as it:
            arms = (Arm(version="1", share=0.5), Arm(version="2", share=0.5))
            policy = TrafficPolicy(model="lcgan", arms=arms, salt="lcgan")
            it.table.set_policy("lcgan", policy)
            units = [f"user-{number}" for number in range(20)]
            found = [(await it.generate(unit=unit)).model.version for unit in units]
            assigned = [policy.assign(unit, random.random) for unit in units]
            assert found == [each.version for each in assigned if each]
            assert set(found) == {"1", "2"}
            assert (await it.generate(unit=units[0], version="2")).model.version == "2"

    asyncio.run(scene())


@pytest.mark.parametrize(
    ("values", "field_at_fault"),
    [
        ({"num_samples": 0}, "num_samples"),
        ({"num_samples": 65}, "num_samples"),
        ({"num_samples": 64, "best_of": 17}, "best_of"),
        ({"temperature": float("nan")}, "temperature"),
        ({"top_p": 1.5}, "top_p"),
        ({"top_k": -1}, "top_k"),
        ({"min_p": float("inf")}, "min_p"),
        ({"max_tokens": 100_000}, "max_tokens"),
        ({"max_tokens": 9, "min_tokens": 10}, "min_tokens"),
        ({"guidance": float("nan")}, "guidance"),
        ({"no_repeat_ngram_size": -1}, "no_repeat_ngram_size"),
        ({"bad_words": ["two words"]}, "bad_words"),
        ({"bad_words": ["x"] * 10_000}, "bad_words"),
        ({"seed": -1}, "seed"),
        ({"genres": ["rock"] * 10_000}, "genres"),
        ({"genres": ["x" * 200_000]}, "genres"),
        ({"artist": "NUL \0"}, "artist"),
        ({"title": "t" * 201}, "title"),
        ({"unit": "\x1b[31m"}, "unit"),
        ({"topic": "t" * 201}, "topic"),
        ({"request_id": "\n"}, "request_id"),
    ],
)
def test_a_wrong_value_is_an_invalid_argument_that_names_its_field(values: dict[str, Any], field_at_fault: str) -> None:
    async def scene() -> None:
        async with bench() as it:
            code, details, metadata = await failure_of(it.generate(**values))
            assert code is grpc.StatusCode.INVALID_ARGUMENT
            assert details.startswith(f"{field_at_fault}: ")
            assert metadata["error-field"] == field_at_fault
            assert it.backend.seen == []

    asyncio.run(scene())


def test_the_topic_asked_for_reaches_the_worker() -> None:
    async def scene() -> None:
        async with bench() as it:
            await it.generate(topic="1 news")
            await it.generate()
            assert [request.topic for _, _, request in it.backend.seen] == ["1 news", None]

    asyncio.run(scene())


def test_an_archive_is_asked_in_the_json_that_its_worker_reads() -> None:
    async def scene() -> None:
        async with bench() as it:
            it.table.add(route("3", contract=CONTRACT))
            for version in ("1", "3"):
                await it.generate(version=version, no_repeat_ngram_size=3, bad_words=["so"])
            first, current = [json.loads(fields[INPUT_FIELD]) for fields in it.backend.inputs]
            assert (first["no_repeat_ngram"], first["banned"]) == (3, ["so"])
            assert not {"no_repeat_ngram_size", "bad_words"} & set(first)
            assert (current["no_repeat_ngram_size"], current["bad_words"]) == (3, ["so"])
            assert not {"no_repeat_ngram", "banned"} & set(current)

    asyncio.run(scene())


def test_limits_and_guidance_reach_the_worker() -> None:
    async def scene() -> None:
        async with bench() as it:
            await it.generate(min_tokens=5, no_repeat_ngram_size=3, bad_words=["so", "don’t"], guidance=1.5)
            await it.generate()
            seen = [each for _, _, each in it.backend.seen]
            assert [(each.sampling.min_tokens, each.sampling.no_repeat_ngram_size) for each in seen] == [(5, 3), (0, 0)]
            assert [(each.sampling.bad_words, each.sampling.guidance) for each in seen] == [
                (("so", "don’t"), 1.5),
                ((), 1.0),
            ]

    asyncio.run(scene())


def test_emoji_and_right_to_left_text_pass() -> None:
    async def scene() -> None:
        async with bench() as it:
            await it.generate(artist="🎷🎧", title="أغنية الليل", genres=["日本語ラップ"])
            assert it.backend.seen[0][2].title == "أغنية الليل"

    asyncio.run(scene())


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"model": "gan"}, "model 'gan' is not served here; the served models are lcgan, cvae"),
        ({"version": "7"}, "lcgan has no live version '7'; live: 1, 2"),
        ({"model": "cvae"}, "cvae has no champion"),
        ({"model": "m" * 200_000}, "model 'mmm"),
    ],
)
def test_what_is_not_live_is_not_found(values: dict[str, Any], reason: str) -> None:
    async def scene() -> None:
        async with bench() as it:
            code, details, _ = await failure_of(it.generate(**values))
            assert code is grpc.StatusCode.NOT_FOUND
            assert details.startswith(reason)

    asyncio.run(scene())


def test_without_torchserve_the_answer_is_unavailable_at_once() -> None:
    async def scene() -> None:
        async with bench() as it:
            it.connection.inference = None
            code, details, _ = await failure_of(it.generate(timeout_s=1))
            assert code is grpc.StatusCode.UNAVAILABLE
            assert "being restarted" in details

    asyncio.run(scene())


def test_requests_above_the_bound_are_shed_and_the_accepted_ones_are_answered() -> None:
    async def scene() -> None:
        release = asyncio.Event()

        async def answer(request: CommentaryRequest) -> str:
            await release.wait()
            return await answer_well(request)

        async with bench(answer, max_in_flight=3) as it:
            accepted = [asyncio.create_task(it.generate()) for _ in range(3)]
            await until(lambda: len(it.backend.seen) == 3)
            code, details, metadata = await failure_of(it.generate(timeout_s=1))
            assert code is grpc.StatusCode.RESOURCE_EXHAUSTED
            assert details == "the gateway is at its limit of 3 concurrent requests; retry later"
            assert int(metadata["grpc-retry-pushback-ms"]) > 0
            (lcgan, _) = it.table.describe()
            assert [version.in_flight for version in lcgan.versions] == [0, 3]
            release.set()
            assert {(await task).model.version for task in accepted} == {"2"}
            assert (await it.generate()).model.version == "2"

    asyncio.run(scene())


def test_work_of_a_client_that_left_is_never_done() -> None:
    async def scene() -> None:
        release = asyncio.Event()

        async def answer(request: CommentaryRequest) -> str:
            await release.wait()
            return await answer_well(request)

        async with bench(answer, slots=2) as it:
            first = [asyncio.create_task(it.generate(request_id="first")) for _ in range(2)]
            await until(lambda: len(it.backend.seen) == 2)
            gone = asyncio.create_task(it.generate(request_id="gone"))
            last = asyncio.create_task(it.generate(request_id="last"))
            held, _ = it.table.assign("lcgan", None)
            await until(lambda: held.in_flight == 4)
            gone.cancel()
            await until(lambda: held.in_flight == 3)
            release.set()
            await asyncio.gather(*first, last)
            assert [request.request_id for _, _, request in it.backend.seen] == ["first", "first", "last"]
            assert it.gateway.calls.counts.left_waiting == 1

    asyncio.run(scene())


@pytest.mark.parametrize("slots", [0, 2])
def test_the_deadline_holds_in_the_queue_and_in_the_worker(slots: int) -> None:
    async def scene() -> None:
        release = asyncio.Event()

        async def answer(request: CommentaryRequest) -> str:
            await release.wait()
            return await answer_well(request)

        async with bench(answer, slots=slots, max_deadline_s=0.2) as it:
            code, details, _ = await asyncio.wait_for(failure_of(it.generate(timeout_s=None)), 20)
            assert code is grpc.StatusCode.DEADLINE_EXCEEDED
            assert "deadline" in details
            held, _ = it.table.assign("lcgan", None)
            assert held.in_flight == (1 if slots else 0)
            release.set()
            await asyncio.wait_for(until(lambda: held.in_flight == 0), 20)

    asyncio.run(scene())


def test_the_worker_is_told_until_when_it_may_start_and_torchserve_gets_no_deadline_of_a_client() -> None:
    async def scene() -> None:
        async with bench() as it:
            for timeout_s in (2, None):
                sent = time.monotonic()
                await it.generate(timeout_s=timeout_s)
                start = float(it.backend.inputs[-1][START_BY_FIELD])
                assert sent + (timeout_s or 30) - 1 < start < sent + (timeout_s or 30) + 1
            assert all(125 < deadline < 135 for deadline in it.backend.deadlines)  # responseTimeout and a margin

    asyncio.run(scene())


@pytest.mark.parametrize(
    ("code", "details"),
    [("RESOURCE_EXHAUSTED", "Worker died."), ("INTERNAL", 'Model "m" has no worker to serve inference request.')],
)
def test_a_request_whose_worker_is_lost_is_asked_once_more(code: str, details: str) -> None:
    async def scene() -> None:
        async with bench() as it:
            it.backend.failures = [(grpc.StatusCode[code], details)]
            assert (await it.generate(request_id="r")).model.version == "2"
            assert [request.request_id for _, _, request in it.backend.seen] == ["r", "r"]
            it.backend.failures = [(grpc.StatusCode[code], details)] * 2
            got, *_ = await failure_of(it.generate())
            assert got is grpc.StatusCode.UNAVAILABLE
            assert it.gateway.calls.counts.asked_again == 2
            assert it.table.assign("lcgan", None)[0].in_flight == 0

    asyncio.run(scene())


@pytest.mark.parametrize(
    ("code", "field_at_fault", "expected"),
    [
        (ErrorCode.DEADLINE_EXCEEDED, "", grpc.StatusCode.DEADLINE_EXCEEDED),
        (ErrorCode.INVALID_ARGUMENT, "genres", grpc.StatusCode.INVALID_ARGUMENT),
        (ErrorCode.INTERNAL, "", grpc.StatusCode.INTERNAL),
    ],
)
def test_an_error_in_band_becomes_its_status(code: ErrorCode, field_at_fault: str, expected: grpc.StatusCode) -> None:
    async def answer(_: CommentaryRequest) -> str:
        return encode_answer(ContractError(code, field_at_fault, "on purpose"))

    async def scene() -> None:
        async with bench(answer) as it:
            got, details, metadata = await failure_of(it.generate())
            assert got is expected
            assert "on purpose" in details
            assert metadata.get("error-field", "") == field_at_fault

    asyncio.run(scene())


def test_an_answer_that_is_none_is_internal() -> None:
    async def answer(_: CommentaryRequest) -> str:
        return "[]"

    async def scene() -> None:
        async with bench(answer) as it:
            code, details, _ = await failure_of(it.generate())
            assert code is grpc.StatusCode.INTERNAL
            assert "could not be read" in details

    asyncio.run(scene())


@pytest.mark.parametrize("code", CODES)
def test_every_status_of_torchserve_leaves_the_gateway_as_one_of_four(code: grpc.StatusCode) -> None:
    async def scene() -> None:
        async with bench() as it:
            it.backend.failure = (code, "whatever it says\nat org.pytorch.serve.Trace")
            got, details, _ = await failure_of(it.generate())
            kept = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)
            assert got is (code if code in kept else grpc.StatusCode.INTERNAL)
            assert "org.pytorch" not in details

    asyncio.run(scene())


@pytest.mark.parametrize(
    ("code", "details", "expected"),
    [
        ("INTERNAL", "Model version: 9 does not exist for model: m\norg.pytorch...", "UNAVAILABLE"),
        ("INTERNAL", "Model not found: m\norg.pytorch...", "UNAVAILABLE"),
        ("INTERNAL", 'Model "m" has no worker to serve inference request. Please use ...', "UNAVAILABLE"),
        ("RESOURCE_EXHAUSTED", "Worker died.\norg.pytorch...", "UNAVAILABLE"),
        ("UNAVAILABLE", "Prediction failed\norg.pytorch...", "INTERNAL"),
        ("UNAVAILABLE", "failed to connect to all addresses", "UNAVAILABLE"),
        ("DEADLINE_EXCEEDED", "Deadline Exceeded", "DEADLINE_EXCEEDED"),
        ("CANCELLED", "gRPC message exceeds maximum size 6553500", "INTERNAL"),
        ("UNKNOWN", "", "INTERNAL"),
    ],
)
def test_what_torchserve_was_seen_to_say_is_translated(code: str, details: str, expected: str) -> None:
    got, reason = translate(grpc.StatusCode[code], details)
    assert got.name == expected
    assert reason
    assert "\n" not in reason


def test_describe_lists_all_models_or_the_named_one() -> None:
    async def scene() -> None:
        async with bench() as it:
            everything = await it.stub.Describe(commentary_pb2.DescribeRequest())
            assert [model.name for model in everything.models] == ["lcgan", "cvae"]
            assert everything.limits.max_samples == 64
            one = await it.stub.Describe(commentary_pb2.DescribeRequest(model="lcgan"))
            assert (one.models[0].champion, len(one.models[0].versions)) == ("2", 2)
            code, details, _ = await failure_of(_describe(it, "gan"))
            assert code is grpc.StatusCode.NOT_FOUND
            assert "lcgan, cvae" in details

    async def _describe(it: Bench, model: str) -> commentary_pb2.DescribeResponse:
        return await it.stub.Describe(commentary_pb2.DescribeRequest(model=model))

    asyncio.run(scene())


def test_health_follows_the_champion_and_torchserve() -> None:
    async def scene() -> None:
        async with bench() as it:
            for service in ("", "deephypebot.v1.Commentary"):
                assert await it.health(service) == "SERVING"
            inference, it.connection.inference = it.connection.inference, None
            await it.gateway.update_health()
            assert await it.health() == "NOT_SERVING"
            it.connection.inference = inference
            it.table.remove("lcgan", "2")
            await it.gateway.update_health()
            assert await it.health() == "NOT_SERVING"

    asyncio.run(scene())


def test_reflection_lists_the_services() -> None:
    async def scene() -> None:
        async with bench() as it:
            stub: Any = reflection_pb2_grpc.ServerReflectionStub(cast("Any", it.channel))  # its types know no asyncio
            call = stub.ServerReflectionInfo(iter([reflection_pb2.ServerReflectionRequest(list_services="")]))
            (answer,) = [answer async for answer in call]
            names = {service.name for service in answer.list_services_response.service}
            assert {"deephypebot.v1.Commentary", "grpc.health.v1.Health"} <= names

    asyncio.run(scene())


def test_a_stopping_gateway_answers_what_it_has_and_takes_no_more() -> None:
    async def scene() -> None:
        release = asyncio.Event()

        async def answer(request: CommentaryRequest) -> str:
            await release.wait()
            return await answer_well(request)

        async with bench(answer) as it:
            accepted = asyncio.create_task(it.generate())
            await until(lambda: it.backend.seen)
            stopping = asyncio.create_task(it.gateway.stop())
            await asyncio.sleep(0.1)
            async with grpc.aio.insecure_channel(it.target) as late:
                stub: commentary_pb2_grpc.CommentaryAsyncStub = commentary_pb2_grpc.CommentaryStub(late)
                with pytest.raises(grpc.aio.AioRpcError) as caught:
                    await stub.Generate(commentary_pb2.GenerateRequest(), timeout=2)
            assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
            release.set()
            assert (await accepted).model.version == "2"
            await asyncio.wait_for(stopping, 20)

    asyncio.run(scene())


def test_a_fault_while_calls_are_accepted_costs_no_later_call(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise MemoryError("no room for an answer")

    async def scene() -> None:
        async with bench() as it:
            noticing = asyncio.create_task(it.gateway.wait_ended())
            with monkeypatch.context() as patch:
                patch.setattr(accepting._AcceptingServer, "_answer", fail)
                with pytest.raises(grpc.aio.AioRpcError):
                    await cast("Any", it.channel.unary_unary("/nobody/knows"))(b"", timeout=1)
            assert (await it.generate()).model.version == "2"
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await cast("Any", it.channel.unary_unary("/nobody/knows"))(b"", timeout=30)
            assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED
            assert not noticing.done()
            noticing.cancel()

    asyncio.run(scene())


def test_the_end_of_the_loop_that_accepts_calls_is_noticed_as_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail(_: object) -> None:
        raise MemoryError("no room for a call")

    async def scene() -> None:
        async with bench() as it:
            noticing = asyncio.create_task(it.gateway.wait_ended())
            monkeypatch.setattr(accepting, "_PAUSE_S", 0.0)
            monkeypatch.setattr(accepting._AcceptingServer, "_next_call", fail)
            with pytest.raises(grpc.aio.AioRpcError):  # takes the wait for a call that had begun before
                await cast("Any", it.channel.unary_unary("/nobody/knows"))(b"", timeout=30)
            with pytest.raises(ServingError, match=r"accepts no calls any more \(MemoryError: no room for a call\)"):
                await asyncio.wait_for(noticing, 30)

    asyncio.run(scene())


def test_a_gateway_that_is_stopped_after_nobody_waits_for_its_end_any_more_stops_as_ever() -> None:
    async def scene() -> None:
        async with bench() as it:
            noticing = asyncio.create_task(it.gateway.wait_ended())
            assert (await it.generate()).model.version == "2"
            noticing.cancel()
            await asyncio.gather(noticing, return_exceptions=True)
            assert (await it.generate()).model.version == "2"

    asyncio.run(scene())


@pytest.mark.parametrize("owner", ["gateway", "stranger"])
def test_a_port_in_use_is_named_with_the_setting_that_changes_it(owner: str) -> None:
    async def scene() -> None:
        with socket.create_server(("127.0.0.1", 0)) as stranger:
            async with bench() as it:
                taken = it.target.rpartition(":")[2] if owner == "gateway" else stranger.getsockname()[1]
                second = Gateway(GatewaySettings(port=int(taken)), table=it.table, inference=lambda: None)
                with pytest.raises(PortInUseError, match="--port or DEEPHYPEBOT_GATEWAY_PORT") as caught:
                    await second.start()
                assert f"port {taken} on 127.0.0.1" in str(caught.value)
                assert (await it.generate()).model.version == "2"

    asyncio.run(scene())


def has_ipv6() -> bool:
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            return True
    except OSError:
        return False


@pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6")
def test_the_address_of_a_gateway_on_ipv6_is_one_that_a_client_can_call() -> None:
    async def scene() -> None:
        async with bench(host="::1") as it:
            assert it.target.startswith("[::1]:")
            assert (await it.generate()).model.version == "2"

    asyncio.run(scene())


def test_an_address_of_another_machine_cannot_be_listened_on() -> None:
    async def scene() -> None:
        gateway = Gateway(
            GatewaySettings(host="192.0.2.1", security=SecuritySettings(insecure_listen=True)),
            table=RoutingTable(("m",)),
            inference=lambda: None,
        )
        with pytest.raises(ServingError, match=r"192.0.2.1.*--host") as caught:
            await gateway.start()
        assert not isinstance(caught.value, PortInUseError)

    asyncio.run(scene())


@pytest.mark.parametrize("values", [{"port": -1}, {"port": 70_000}, {"max_in_flight": 0}])
def test_settings_out_of_range_are_refused(values: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=next(iter(values))):
        GatewaySettings(**values)  # type: ignore[arg-type] # the values are wrong on purpose


def test_only_a_status_without_a_word_of_torchserve_says_that_it_is_unreachable() -> None:
    unavailable = grpc.StatusCode.UNAVAILABLE
    assert failure_in(unavailable, "failed to connect to all addresses") is Failure.UNREACHABLE
    assert failure_in(unavailable, "Prediction failed") is Failure.OTHER
    assert failure_in(unavailable, "Model not found") is Failure.OTHER
    assert failure_in(grpc.StatusCode.RESOURCE_EXHAUSTED, "Worker died.") is Failure.WORKER_DIED
    assert failure_in(grpc.StatusCode.INTERNAL, "Model m has no worker to serve") is Failure.NO_WORKER
