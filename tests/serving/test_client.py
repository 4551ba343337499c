from __future__ import annotations

import contextlib
import random
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent import futures
from dataclasses import dataclass, field

import grpc
import pytest
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from handlers.contract import CommentaryRequest, CommentaryResponse, ModelIdentity, Sample, Timings
from serving import caller, wire
from serving.client import (
    AccessDeniedError,
    CommentaryClient,
    CommentaryError,
    DeadlineError,
    InternalServiceError,
    InvalidRequestError,
    LiveModel,
    LiveVersion,
    OverloadedError,
    RequestError,
    RetryPolicy,
    ServiceError,
    UnavailableError,
    UnknownModelError,
)
from serving.v1 import commentary_pb2, commentary_pb2_grpc

Generate = Callable[[commentary_pb2.GenerateRequest, grpc.ServicerContext], commentary_pb2.GenerateResponse]


@dataclass
class LoopbackCommentary(commentary_pb2_grpc.CommentaryServicer):
    """A gRPC server that speaks the gateway's protocol and answers what the test says."""

    answer: Generate
    described: commentary_pb2.DescribeResponse = field(default_factory=commentary_pb2.DescribeResponse)
    requests: list[commentary_pb2.GenerateRequest] = field(default_factory=list)
    target: str = ""

    def Generate(  # noqa: N802 - the name is the protocol's
        self, request: commentary_pb2.GenerateRequest, context: grpc.ServicerContext
    ) -> commentary_pb2.GenerateResponse:
        self.requests.append(request)
        return self.answer(request, context)

    def GenerateStream(  # noqa: N802 - the protocol's name
        self, request: commentary_pb2.GenerateRequest, context: grpc.ServicerContext
    ) -> Iterator[commentary_pb2.GenerateStreamResponse]:
        answer = self.Generate(request, context)
        yield commentary_pb2.GenerateStreamResponse(samples=answer.samples)
        yield commentary_pb2.GenerateStreamResponse(end=answer)

    def Describe(  # noqa: N802 - the name is the protocol's
        self,
        request: commentary_pb2.DescribeRequest,
        context: grpc.ServicerContext,
    ) -> commentary_pb2.DescribeResponse:
        if request.model == "missing":
            context.abort(grpc.StatusCode.NOT_FOUND, "no model 'missing' is live")
        return self.described


Start = Callable[[Generate], LoopbackCommentary]


@pytest.fixture
def start_commentary() -> Iterator[Start]:
    servers: list[grpc.Server] = []

    def start(answer: Generate) -> LoopbackCommentary:
        server = grpc.server(futures.ThreadPoolExecutor(4))
        servicer = LoopbackCommentary(answer)
        commentary_pb2_grpc.add_CommentaryServicer_to_server(servicer, server)
        servicer.target = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
        server.start()
        servers.append(server)
        return servicer

    yield start
    for server in servers:
        server.stop(None).wait()


REQUEST = CommentaryRequest(genres=("dream pop",), artist="A", seed=7, num_samples=1)
RESPONSE = CommentaryResponse(
    samples=(Sample(text="Hazy — “glows” 🎧.", token_count=5, log_prob=-3.5, topics=(0.25, 0.75), seed=7),),
    model=ModelIdentity(name="lcgan", version="2", archive_sha256="ab" * 32),
    genres_used=("dream pop",),
    genres_unknown=("nonsense",),
    timings=Timings(queue_ms=1.5, decode_ms=20.25),
    request_id="r1",
)
ONE_ATTEMPT = RetryPolicy(max_attempts=1)

EXPECTED = {
    "INVALID_ARGUMENT": InvalidRequestError,
    "OUT_OF_RANGE": InvalidRequestError,
    "NOT_FOUND": UnknownModelError,
    "ALREADY_EXISTS": RequestError,
    "FAILED_PRECONDITION": RequestError,
    "PERMISSION_DENIED": AccessDeniedError,
    "UNAUTHENTICATED": AccessDeniedError,
    "UNAVAILABLE": UnavailableError,
    "CANCELLED": UnavailableError,
    "RESOURCE_EXHAUSTED": OverloadedError,
    "DEADLINE_EXCEEDED": DeadlineError,
    "ABORTED": InternalServiceError,
    "DATA_LOSS": InternalServiceError,
    "INTERNAL": InternalServiceError,
    "UNIMPLEMENTED": InternalServiceError,
    "UNKNOWN": InternalServiceError,
}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def answer_well(_: commentary_pb2.GenerateRequest, __: grpc.ServicerContext) -> commentary_pb2.GenerateResponse:
    return wire.response_to_message(RESPONSE)


def abort_with(code: grpc.StatusCode, *metadata: tuple[str, str]) -> Generate:
    def answer(_: commentary_pb2.GenerateRequest, context: grpc.ServicerContext) -> commentary_pb2.GenerateResponse:
        context.set_trailing_metadata(metadata)
        context.abort(code, "what went wrong")
        raise AssertionError

    return answer


def test_a_request_and_its_answer_cross_the_wire_unchanged(start_commentary: Start) -> None:
    server = start_commentary(answer_well)
    with CommentaryClient(server.target) as client:
        assert client.generate(REQUEST, version="2") == RESPONSE
    (message,) = server.requests
    assert wire.request_from_message(message) == REQUEST
    assert (message.model, message.version) == ("lcgan", "2")


def test_all_arms_of_an_experiment_are_asked_for_by_one_field_of_the_request(start_commentary: Start) -> None:
    server = start_commentary(lambda *_: wire.response_to_message(RESPONSE, exposure_id="key"))
    with CommentaryClient(server.target) as client:
        client.generate(REQUEST)
        answer = client.generate_interleaved(REQUEST)
    ordinary, interleaved = server.requests
    assert not ordinary.interleave
    assert interleaved.interleave
    interleaved.interleave = False
    assert interleaved == ordinary
    assert (answer.samples, answer.request_id) == (RESPONSE.samples, RESPONSE.request_id)
    assert [(arm.model, arm.exposure_id) for arm in answer.arms] == [(RESPONSE.model, "key")]


def test_an_answer_whose_samples_name_no_arm_is_a_fault_of_the_service(start_commentary: Start) -> None:
    sample = commentary_pb2.Sample(text="x", arm=3)
    server = start_commentary(lambda *_: commentary_pb2.GenerateResponse(samples=[sample]))
    with CommentaryClient(server.target) as client, pytest.raises(InternalServiceError, match="arms"):
        client.generate_interleaved(REQUEST)


def test_a_request_without_a_pin_sends_no_version_and_a_named_model_wins(start_commentary: Start) -> None:
    server = start_commentary(answer_well)
    with CommentaryClient(server.target, model="cvae") as client:
        client.generate(REQUEST)
        client.generate(REQUEST, model="lcgan")
    assert [message.model for message in server.requests] == ["cvae", "lcgan"]
    assert not any(message.HasField("version") for message in server.requests)


def test_the_table_of_expectations_covers_every_status_code() -> None:
    assert set(EXPECTED) == {code.name for code in grpc.StatusCode} - {"OK"}


@pytest.mark.parametrize("code", [code for code in grpc.StatusCode if code is not grpc.StatusCode.OK])
def test_every_status_code_becomes_its_error(start_commentary: Start, code: grpc.StatusCode) -> None:
    server = start_commentary(abort_with(code, ("error-field", "top_p")))
    with CommentaryClient(server.target, retry=ONE_ATTEMPT) as client, pytest.raises(CommentaryError) as caught:
        client.generate(REQUEST)
    assert type(caught.value) is EXPECTED[code.name]
    assert caught.value.code == code.name
    assert "what went wrong" in caught.value.message
    assert isinstance(caught.value, RequestError | ServiceError)
    if isinstance(caught.value, InvalidRequestError):
        assert caught.value.field == "top_p"


def test_an_invalid_request_without_a_named_field_has_an_empty_one(start_commentary: Start) -> None:
    server = start_commentary(abort_with(grpc.StatusCode.INVALID_ARGUMENT))
    with CommentaryClient(server.target) as client, pytest.raises(InvalidRequestError) as caught:
        client.generate(REQUEST)
    assert caught.value.field == ""


def test_a_server_that_raises_is_an_internal_error(start_commentary: Start) -> None:
    def answer(_: object, __: object) -> commentary_pb2.GenerateResponse:
        raise KeyError("surprise")

    server = start_commentary(answer)
    with CommentaryClient(server.target) as client, pytest.raises(InternalServiceError, match="surprise"):
        client.generate(REQUEST)


def test_nobody_listening_is_unavailable_and_names_the_target() -> None:
    target = f"127.0.0.1:{free_port()}"
    with CommentaryClient(target, timeout_s=5) as client, pytest.raises(UnavailableError, match=target):
        client.generate(REQUEST)


def test_a_target_that_cannot_be_resolved_is_unavailable() -> None:
    with CommentaryClient("no-such-host.invalid:1", retry=ONE_ATTEMPT) as client, pytest.raises(UnavailableError):
        client.generate(REQUEST)


def test_a_peer_that_does_not_speak_grpc_fails_within_the_deadline() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        target = f"127.0.0.1:{listener.getsockname()[1]}"
        with CommentaryClient(target) as client, pytest.raises(ServiceError):
            client.generate(REQUEST, timeout_s=0.3)


def test_a_server_of_another_kind_is_named_as_the_likely_fault() -> None:
    server = grpc.server(futures.ThreadPoolExecutor(1))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        with CommentaryClient(f"127.0.0.1:{port}") as client, pytest.raises(InternalServiceError, match="gateway"):
            client.generate(REQUEST)
    finally:
        server.stop(None).wait()


def test_a_closed_client_says_so(start_commentary: Start) -> None:
    client = CommentaryClient(start_commentary(answer_well).target)
    client.close()
    with pytest.raises(UnavailableError, match="closed"):
        client.generate(REQUEST)


@pytest.mark.alone
def test_the_deadline_ends_a_slow_call(start_commentary: Start) -> None:
    def answer(
        message: commentary_pb2.GenerateRequest, context: grpc.ServicerContext
    ) -> commentary_pb2.GenerateResponse:
        time.sleep(3)
        return answer_well(message, context)

    with CommentaryClient(start_commentary(answer).target) as client:
        started = time.monotonic()
        with pytest.raises(DeadlineError, match=r"127\.0\.0\.1:\d+ did not answer within 0\.2 s"):
            client.generate(REQUEST, timeout_s=0.2)
        assert time.monotonic() - started < 2.5


@pytest.mark.parametrize(
    "code", [grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED, grpc.StatusCode.RESOURCE_EXHAUSTED]
)
def test_a_passing_fault_is_retried_until_it_passes(start_commentary: Start, code: grpc.StatusCode) -> None:
    fail = abort_with(code)

    def answer(
        message: commentary_pb2.GenerateRequest, context: grpc.ServicerContext
    ) -> commentary_pb2.GenerateResponse:
        return fail(message, context) if len(server.requests) < 3 else answer_well(message, context)

    server = start_commentary(answer)
    with CommentaryClient(server.target, retry=RetryPolicy(initial_backoff_s=0.01)) as client:
        assert client.generate(REQUEST) == RESPONSE
    assert len(server.requests) == 3


def test_attempts_are_bounded(start_commentary: Start) -> None:
    server = start_commentary(abort_with(grpc.StatusCode.UNAVAILABLE))
    policy = RetryPolicy(max_attempts=4, initial_backoff_s=0.001, max_backoff_s=0.002)
    with CommentaryClient(server.target, retry=policy) as client, pytest.raises(UnavailableError):
        client.generate(REQUEST)
    assert len(server.requests) == 4


@pytest.mark.parametrize("name", sorted(set(EXPECTED) - {"UNAVAILABLE", "CANCELLED", "RESOURCE_EXHAUSTED"}))
def test_no_other_fault_is_retried(start_commentary: Start, name: str) -> None:
    server = start_commentary(abort_with(grpc.StatusCode[name]))
    with CommentaryClient(server.target) as client, pytest.raises(CommentaryError):
        client.generate(REQUEST)
    assert len(server.requests) == 1


@pytest.mark.alone
def test_no_attempt_starts_after_the_deadline(start_commentary: Start) -> None:
    server = start_commentary(abort_with(grpc.StatusCode.UNAVAILABLE, ("grpc-retry-pushback-ms", "5000")))
    with CommentaryClient(server.target) as client:
        started = time.monotonic()
        with pytest.raises(UnavailableError):
            client.generate(REQUEST, timeout_s=4.5)
        assert time.monotonic() - started < 4  # waiting 5 s would end in a less telling DeadlineError
    assert len(server.requests) == 1


def test_the_pause_that_the_service_asks_for_is_kept(start_commentary: Start) -> None:
    arrivals: list[float] = []
    fail = abort_with(grpc.StatusCode.RESOURCE_EXHAUSTED, ("grpc-retry-pushback-ms", "150"))

    def answer(
        message: commentary_pb2.GenerateRequest, context: grpc.ServicerContext
    ) -> commentary_pb2.GenerateResponse:
        arrivals.append(time.monotonic())
        return fail(message, context) if len(arrivals) == 1 else answer_well(message, context)

    policy = RetryPolicy(initial_backoff_s=0.001, max_backoff_s=0.001)
    with CommentaryClient(start_commentary(answer).target, retry=policy) as client:
        client.generate(REQUEST)
    assert arrivals[1] - arrivals[0] >= 0.15


@pytest.mark.slow
def test_many_clients_of_a_server_that_refuses_all_cause_few_retries_and_use_it_at_once_when_it_recovers(
    start_commentary: Start,
) -> None:
    shed = abort_with(grpc.StatusCode.RESOURCE_EXHAUSTED)
    is_well = False

    def answer(
        message: commentary_pb2.GenerateRequest, context: grpc.ServicerContext
    ) -> commentary_pb2.GenerateResponse:
        return answer_well(message, context) if is_well else shed(message, context)

    server = start_commentary(answer)
    policy = RetryPolicy(max_attempts=3, initial_backoff_s=0.001, max_backoff_s=0.001)
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(CommentaryClient(server.target, retry=policy)) for _ in range(100)]
        pool = stack.enter_context(futures.ThreadPoolExecutor(8))

        def ask_in_vain(client: CommentaryClient) -> None:
            for _ in range(5):
                with pytest.raises(OverloadedError):
                    client.generate(REQUEST)

        list(pool.map(ask_in_vain, clients))
        assert 500 < len(server.requests) <= 550
        is_well = True
        before = len(server.requests)
        assert list(pool.map(lambda client: client.generate(REQUEST), clients)) == [RESPONSE] * 100
        assert len(server.requests) == before + 100


def test_the_pause_that_the_service_asks_for_is_told_to_the_caller(start_commentary: Start) -> None:
    refuse = abort_with(grpc.StatusCode.RESOURCE_EXHAUSTED, ("grpc-retry-pushback-ms", "1250"))
    with (
        CommentaryClient(start_commentary(refuse).target, retry=ONE_ATTEMPT) as client,
        pytest.raises(OverloadedError) as caught,
    ):
        client.generate(REQUEST)
    assert caught.value.retry_after_s == 1.25


def test_a_server_that_comes_back_on_its_port_is_found_again() -> None:
    port = free_port()
    target = f"127.0.0.1:{port}"
    with CommentaryClient(target, retry=RetryPolicy(max_attempts=50, max_backoff_s=0.2)) as client:
        with pytest.raises(UnavailableError):
            client.generate(REQUEST, timeout_s=0.3)
        server = grpc.server(futures.ThreadPoolExecutor(1))
        server.add_insecure_port(target)
        health_servicer = health.HealthServicer()
        health_servicer.set("", health_pb2.HealthCheckResponse.SERVING)
        health_pb2_grpc.add_HealthServicer_to_server(health_servicer, server)
        server.start()
        try:
            deadline = time.monotonic() + 5
            while not client.is_serving() and time.monotonic() < deadline:
                time.sleep(0.05)
            assert client.is_serving()
        finally:
            server.stop(None).wait()
        assert not client.is_serving()


@pytest.mark.parametrize(
    ("status", "expected"),
    [(health_pb2.HealthCheckResponse.SERVING, True), (health_pb2.HealthCheckResponse.NOT_SERVING, False)],
)
def test_health_is_what_the_standard_service_says(status: int, expected: bool) -> None:
    server = grpc.server(futures.ThreadPoolExecutor(1))
    servicer = health.HealthServicer()
    servicer.set("", status)
    health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        with CommentaryClient(f"127.0.0.1:{port}") as client:
            assert client.is_serving() is expected
    finally:
        server.stop(None).wait()


def test_describe_lists_models_and_a_missing_one_is_unknown(start_commentary: Start) -> None:
    live = (
        LiveModel(
            name="lcgan",
            champion="2",
            versions=(
                LiveVersion(
                    version="2",
                    archive_sha256="cd" * 32,
                    aliases=("champion",),
                    in_flight=3,
                    topics=("sound", "biography"),
                    desired_topic="sound",
                    num_genres=12,
                    batch_size=32,
                    genres=("dream pop", "techno"),
                    lineage={"corpus": "ef" * 32},
                    precision="int8",
                    slots=128,
                    threads=2,
                ),
            ),
        ),
        LiveModel(name="cvae", champion="", versions=()),
    )
    server = start_commentary(answer_well)
    server.described = wire.live_models_to_message(live)
    with CommentaryClient(server.target) as client:
        assert client.describe() == live
        assert client.limits() == wire.CONTRACT_LIMITS
        with pytest.raises(UnknownModelError, match="missing"):
            client.describe("missing")


def test_text_that_no_wire_can_carry_is_an_invalid_request(start_commentary: Start) -> None:
    with (
        CommentaryClient(start_commentary(answer_well).target) as client,
        pytest.raises(InvalidRequestError, match="valid text"),
    ):
        client.generate(REQUEST, version="\ud800")


def test_a_version_may_be_a_number(start_commentary: Start) -> None:
    server = start_commentary(answer_well)
    with CommentaryClient(server.target) as client:
        client.generate(REQUEST, version=7)
    assert server.requests[0].version == "7"


def test_one_error_tree_holds_all_that_a_request_can_do_wrong(start_commentary: Start) -> None:
    with CommentaryClient(start_commentary(answer_well).target) as client:
        for spoilt in ({"num_samples": 0}, {"genres": "dream pop"}, {"seed": "7"}):
            with pytest.raises(RequestError) as caught:
                client.generate(CommentaryRequest(**spoilt))
            assert isinstance(caught.value, ValueError)
            assert caught.value.code == "INVALID_ARGUMENT"


@pytest.mark.parametrize("timeout_s", [0, -1, float("nan")])
def test_a_timeout_that_is_no_time_is_refused(timeout_s: float) -> None:
    with pytest.raises(ValueError, match="timeout_s"):
        CommentaryClient(timeout_s=timeout_s)


@pytest.mark.parametrize(
    "values",
    [
        {"max_attempts": 0},
        {"max_attempts": 101},
        {"initial_backoff_s": -1},
        {"initial_backoff_s": 3, "max_backoff_s": 2},
        {"max_backoff_s": float("inf")},
    ],
)
def test_a_policy_that_makes_no_sense_is_refused(values: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(values)).split("_")[0]):
        RetryPolicy(**values)  # type: ignore[arg-type] # the values are wrong on purpose


def test_pauses_are_jittered_and_grow_up_to_their_bound() -> None:
    random.seed(3)
    policy = RetryPolicy(initial_backoff_s=0.1, max_backoff_s=0.5)
    for attempt, bound in ((1, 0.1), (2, 0.2), (3, 0.4), (4, 0.5), (9, 0.5)):
        pauses = [policy.draw_pause_s(attempt) for _ in range(200)]
        assert 0.9 * bound < max(pauses) <= bound
        assert min(pauses) < 0.1 * bound


def test_the_client_serves_many_threads_at_once(start_commentary: Start) -> None:
    server = start_commentary(answer_well)
    with CommentaryClient(server.target) as client, futures.ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: client.generate(REQUEST), range(64)))
    assert answers == [RESPONSE] * 64


@pytest.mark.slow
def test_the_client_yields_to_other_greenlets_under_gevent(start_commentary: Start) -> None:
    def answer(
        message: commentary_pb2.GenerateRequest, context: grpc.ServicerContext
    ) -> commentary_pb2.GenerateResponse:
        time.sleep(1.5)
        return answer_well(message, context)

    program = f"""
from gevent import monkey
monkey.patch_all()
import grpc.experimental.gevent
grpc.experimental.gevent.init_gevent()
import time, gevent
from handlers.contract import CommentaryRequest
from serving.client import CommentaryClient
client = CommentaryClient({start_commentary(answer).target!r})
started = time.monotonic()
jobs = [gevent.spawn(client.generate, CommentaryRequest(genres=())) for _ in range(4)]
gevent.joinall(jobs, raise_error=True)
assert [job.value.model.version for job in jobs] == ["2"] * 4
assert time.monotonic() - started < 4, "one after the other"
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=30)


def test_the_health_check_by_hand_is_that_of_the_health_package() -> None:
    serving = health_pb2.HealthCheckResponse.SERVING
    answer = health_pb2.HealthCheckResponse.FromString(caller.HEALTH_SERVING)
    assert answer.status == serving
    for status in health_pb2.HealthCheckResponse.ServingStatus.values():
        serialized = health_pb2.HealthCheckResponse(status=status).SerializeToString()
        assert (serialized == caller.HEALTH_SERVING) == (status == serving)
    assert health_pb2.HealthCheckRequest().SerializeToString() == b""  # the whole server
    (service,) = health_pb2.DESCRIPTOR.services_by_name.values()
    assert f"/{service.full_name}/{service.methods_by_name['Check'].name}" == caller.HEALTH_CHECK
