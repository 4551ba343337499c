"""Clients that are too many, leave early, vanish, do not read, or send what is no request."""

from __future__ import annotations

import contextlib
import random
import resource
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import grpc
import psutil
import pytest

from serving.client import CommentaryClient, CommentaryError, RetryPolicy
from serving.v1 import commentary_pb2, commentary_pb2_grpc
from serving.wire import ERROR_FIELD_METADATA
from tests.faults.crowd import Crowd, Outcome, begin, end
from tests.faults.load import ONCE, RETRYING, Kind, wait_for
from tests.faults.models import request_of
from tests.faults.rawhttp2 import PREFACE, SETTINGS, connect, connections, frame, unread_call, vanish
from tests.faults.reporting import Row
from tests.faults.scene import House, gateway_rss_mb, make_house, observing
from tests.serving.support import EchoRegistry

pytestmark = [pytest.mark.integration, pytest.mark.fault, pytest.mark.timeout(240)]

GENERATE = "/deephypebot.v1.Commentary/Generate"
HEAVY: dict[str, Any] = {"num_samples": 64, "best_of": 4, "max_tokens": 64}
PATIENT = Kind(name="patient", threads=4, retry=RetryPolicy(), timeout_s=20.0, pause_s=0.05)


def told(outcome: Outcome) -> str:
    codes = ", ".join(f"{number:,} {code}" for code, number in outcome.codes.items())
    quick = f"; 95% of its refusals within {1000 * outcome.refused_p95_s:.0f} ms" if outcome.refused_p95_s else ""
    return f"the crowd: {codes}{quick}"


def crowd_of(house: House, **values: Any) -> Crowd:
    return Crowd(target=house.target, model=house.model, **values)


@pytest.mark.promise(
    "clients",
    "300 clients with heavy requests for 8 s, which wait as their refusals say (with nice 10)",
    "what cannot be in time is refused at once, with a pause to retry after; accepted work goes on",
)
def test_overload(house: House, row: Row) -> None:
    few = end(begin(crowd_of(house, clients=4, seconds=6, deadline_s=10, **HEAVY)))
    with observing(house, row, kinds=(PATIENT,)) as seen:
        outcome = end(
            begin(crowd_of(house, clients=300, seconds=8, deadline_s=10, pause_s=0.2, follows_hints=True, **HEAVY))
        )
        seen.heal()
        seen.note(told(outcome))
        seen.wait_normal()
    assert set(outcome.codes) <= {"OK", "RESOURCE_EXHAUSTED", "DEADLINE_EXCEEDED"}
    assert outcome.codes["RESOURCE_EXHAUSTED"] > 100
    assert outcome.without_hint == 0
    assert outcome.refused_p95_s < 1
    row.notes.append(
        f"heavy requests answered: {few.codes['OK'] / 6:.1f}/s to 4 clients, {outcome.codes['OK'] / 8:.1f}/s to 300"
    )
    assert outcome.codes["OK"] / 8 > 0.5 * few.codes["OK"] / 6
    assert row.normal_s < 10
    late, answered = outcome.codes.get("DEADLINE_EXCEEDED", 0), outcome.codes["OK"]
    row.notes.append(f"{late} of {late + answered} accepted heavy requests came too late")
    if late > answered:
        row.missed = f"{late} of {late + answered} requests were accepted and not answered in time"


@pytest.mark.promise(
    "clients",
    "60 clients with deadlines of 50 ms and 60 that cancel after 40 ms",
    "patient clients beside them are answered",
)
def test_impatient_clients(house: House, row: Row) -> None:
    with observing(house, row, kinds=(PATIENT,)) as seen:
        hurried = begin(crowd_of(house, clients=60, seconds=8, deadline_s=0.05, num_samples=16, pause_s=0.02))
        leaving = begin(crowd_of(house, clients=60, seconds=8, patience_s=0.04, num_samples=16, pause_s=0.02))
        for outcome in (end(hurried), end(leaving)):
            seen.note(told(outcome))
        seen.heal()
        seen.wait_normal()
    answered, failed = seen.load.answers(PATIENT.name, since_s=seen.fault_s), seen.failures(PATIENT)
    assert answered >= 0.95 * (answered + sum(failed.values()))
    assert answered > 50
    assert row.normal_s < 5


@pytest.mark.promise(
    "clients",
    "20 clients with 256-sequence requests and deadlines of 0.2 s for 5 s",
    "the next patient call waits less than 2 s",
)
def test_heavy_requests_given_up(house: House, row: Row) -> None:
    with observing(house, row, kinds=(PATIENT,)) as seen:
        outcome = end(begin(crowd_of(house, clients=20, seconds=5, deadline_s=0.2, **HEAVY)))
        seen.heal()
        seen.note(told(outcome))
        seen.wait_normal()
    afterwards = [call for call in seen.load.calls if call.began_s > seen.struck_s]
    assert all(call.code == "OK" for call in afterwards)
    assert max(call.ended_s - call.began_s for call in afterwards) < 2
    assert row.normal_s < 5


@pytest.mark.promise(
    "clients", "a process with 40 calls in flight killed, five times", "its work is dropped; nobody else notices"
)
def test_vanishing_processes(house: House, row: Row) -> None:
    with observing(house, row) as seen:
        for _ in range(5):
            crowd = begin(crowd_of(house, clients=40, seconds=60, num_samples=16))
            time.sleep(2)
            crowd.kill()
            crowd.communicate()
        seen.heal()
        seen.wait_normal()
    assert seen.failures(RETRYING) == {}
    assert row.normal_s < 5


@pytest.mark.promise(
    "clients", "200 connections reset in the middle of a call", "nobody else notices; no descriptor is left"
)
def test_reset_connections(house: House, row: Row) -> None:
    message = commentary_pb2.GenerateRequest(model=house.model, num_samples=16).SerializeToString()
    call = unread_call(house.target, GENERATE, message)
    with observing(house, row) as seen:
        for number in range(200):
            connection = connect(house.target)
            connection.sendall(call[: len(call) - number % 60])
            vanish(connection)
        seen.heal()
        seen.wait_normal()
    assert seen.failures(RETRYING) == seen.failures(ONCE) == {}
    assert seen.serving_throughout


@pytest.mark.promise(
    "clients", "200 clients that read nothing of their answers for 10 s", "they take no place and little memory"
)
def test_clients_that_do_not_read(house: House, row: Row) -> None:
    message = commentary_pb2.GenerateRequest(model=house.model, num_samples=8, max_tokens=12).SerializeToString()
    before = gateway_rss_mb(house)
    with (
        observing(house, row) as seen,
        connections(house.target, 200, unread_call(house.target, GENERATE, message)) as opened,
    ):
        assert len(opened) == 200
        seen.last(10)
        row.notes.append(f"memory of the gateway: {gateway_rss_mb(house) - before:+.0f} MB")
        seen.heal()
        seen.wait_normal()
    assert gateway_rss_mb(house) - before < 100
    assert seen.failures(RETRYING) == seen.failures(ONCE) == {}


def garbage(rng: random.Random, target: str) -> bytes:
    """Bytes that are no call: noise, other protocols, broken frames, a message that is no protobuf."""
    noise = rng.randbytes(rng.randrange(1, 4000))
    call = bytearray(unread_call(target, GENERATE, rng.randbytes(rng.randrange(200))))
    for _ in range(rng.randrange(8)):
        call[rng.randrange(len(PREFACE), len(call))] = rng.randrange(256)
    return rng.choice(
        [
            noise,
            b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + noise,
            PREFACE + noise,
            PREFACE + frame(SETTINGS, 0, 0, b"") + frame(rng.randrange(256), rng.randrange(256), 1, noise),
            bytes(call),
        ]
    )


@pytest.mark.promise(
    "clients", "600 connections with garbage bytes", "nobody else notices; nothing is left in the log but lines"
)
def test_garbage_bytes(house: House, row: Row) -> None:
    rng = random.Random(11)
    logged = len(house.running.log())
    with observing(house, row) as seen:
        for _ in range(600):
            connection = connect(house.target)
            with contextlib.suppress(OSError):
                connection.sendall(garbage(rng, house.target))
                connection.settimeout(0.005)
                connection.recv(4096)
            connection.close()
        seen.heal()
        seen.wait_normal()
    assert seen.failures(RETRYING) == seen.failures(ONCE) == {}
    assert seen.serving_throughout
    assert "Traceback" not in house.running.log()[logged:]


@pytest.mark.promise("clients", "400 messages of 4.1 MB", "refused; the gateway does not grow")
def test_large_messages(house: House, row: Row) -> None:
    before = gateway_rss_mb(house)
    message = commentary_pb2.GenerateRequest(model=house.model, artist="x" * 4_100_000)
    codes = set()
    with observing(house, row) as seen, grpc.insecure_channel(house.target) as channel:
        stub: Any = commentary_pb2_grpc.CommentaryStub(channel)
        for _ in range(40):
            calls = [stub.Generate.future(message, timeout=20) for _ in range(10)]
            codes |= {cast("Any", call.exception()).code().name for call in calls}
        seen.heal()
        row.notes.append(f"memory of the gateway: {gateway_rss_mb(house) - before:+.0f} MB")
        seen.wait_normal()
    assert codes == {"RESOURCE_EXHAUSTED"}
    assert gateway_rss_mb(house) - before < 150
    assert seen.failures(RETRYING) == {}


MALFORMED: tuple[tuple[dict[str, Any], str], ...] = (
    ({"num_samples": 0}, "num_samples"),
    ({"num_samples": 65}, "num_samples"),
    ({"num_samples": 64, "best_of": 17}, "best_of"),
    ({"temperature": float("nan")}, "temperature"),
    ({"top_p": 1.5}, "top_p"),
    ({"max_tokens": 129}, "max_tokens"),
    ({"artist": "NUL \0"}, "artist"),
    ({"title": "x" * 10_000}, "title"),
    ({"genres": ["pop"] * 10_000}, "genres"),
    ({"topic": "no such topic"}, "topic"),
    ({"rank_by": "taste"}, "rank_by"),
)


@pytest.mark.promise(
    "clients", "malformed requests of every kind, 20 times", "INVALID_ARGUMENT that names the field; others unharmed"
)
def test_malformed_requests(house: House, row: Row) -> None:
    outcomes = []
    with observing(house, row) as seen, grpc.insecure_channel(house.target) as channel:
        stub: Any = commentary_pb2_grpc.CommentaryStub(channel)
        for values, field in MALFORMED * 20:
            message = commentary_pb2.GenerateRequest(model=house.model, **values)
            with pytest.raises(grpc.RpcError) as caught:
                stub.Generate(message, timeout=5)
            fault: Any = caught.value
            named = dict(fault.trailing_metadata()).get(ERROR_FIELD_METADATA)
            outcomes.append((field, named, fault.code().name))
        seen.heal()
        seen.wait_normal()
    wrong = {each for each in outcomes if each[0] != each[1] or each[2] != "INVALID_ARGUMENT"}
    assert wrong == set()
    assert seen.failures(RETRYING) == seen.failures(ONCE) == {}


@pytest.fixture
def narrow(empty_registry: EchoRegistry, tmp_path: Path) -> Iterator[House]:
    """A service that may have 1,024 descriptors in each process."""
    house = make_house(empty_registry, tmp_path, "narrow")
    house.start(wait=False)
    psutil.Process(house.running.process.pid).rlimit(psutil.RLIMIT_NOFILE, (1024, 1024))
    wait_for(house.is_well, timeout_s=90, what="the start")
    yield house
    house.close()


@pytest.mark.promise(
    "clients",
    "1,400 idle connections where 1,024 descriptors are allowed",
    "clients that are connected go on; new ones get in when the others leave",
)
def test_idle_connections(narrow: House, row: Row) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(max(soft, 4096), hard), hard))
    with observing(narrow, row) as seen:
        with connections(narrow.target, 1400, PREFACE + frame(SETTINGS, 0, 0, b"")) as opened:
            row.notes.append(f"{len(opened)} connections opened")
            seen.last(5)
        seen.heal()
        began = time.monotonic()
        wait_for(lambda: _is_answered(narrow), timeout_s=30, what="an answer to a new client")
        row.notes.append(f"a new client was answered {time.monotonic() - began:.1f} s after they left")
        seen.wait_normal()
    assert seen.failures(RETRYING) == seen.failures(ONCE) == {}


def _is_answered(house: House) -> bool:
    with CommentaryClient(house.target, model=house.model, timeout_s=3) as client:
        try:
            client.generate(request_of(1))
        except CommentaryError:
            return False
    return True
