"""The door in process, before a gateway whose TorchServe is a loopback server."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import grpc
import pytest

from handlers.contract import CommentaryRequest, CommentaryResponse, ModelIdentity, Sample, Timings, encode_answer
from serving.http.app import TIMEOUT_HEADER
from serving.http.bodies import MAX_BODY_BYTES
from serving.http.settings import HttpSettings
from serving.security.settings import ClientLimits, SecuritySettings
from serving.security.store import add_client
from serving.v1 import commentary_pb2
from tests.serving.http.doors import GENERATE, DoorBench, in_process
from tests.serving.loopback_gateway import answer_well

JSON = {"Content-Type": "application/json"}


def run(scene: Callable[[DoorBench], Awaitable[None]], **named: Any) -> None:
    async def whole() -> None:
        async with in_process(**named) as door:
            await scene(door)

    asyncio.run(whole())


async def answer_sample(request: CommentaryRequest) -> str:
    samples = (Sample(text="naïve", token_count=2, log_prob=-1.5, topics=(0.25, 0.75), seed=2**62 + 1),)
    return encode_answer(
        CommentaryResponse(
            samples=samples,
            model=ModelIdentity(name="", version=""),
            genres_used=tuple(request.genres),
            genres_unknown=(),
            timings=Timings(decode_ms=0.5),
            request_id=request.request_id,
        )
    )


def test_the_shares_decide_which_version_answers() -> None:
    async def scene(door: DoorBench) -> None:
        response = await door.generate(genres=["zydeco"], request_id="r", top_k=40)
        assert response.status_code == 200
        assert response.headers["Content-Type"] == "application/json"
        answer = response.json()
        assert (answer["model"]["name"], answer["model"]["version"]) == ("lcgan", "2")
        assert answer["genres_unknown"] == ["zydeco"]
        ((model, version, request),) = door.bench.backend.seen
        assert (model, version, request.genres, request.request_id) == ("lcgan", "2", ("zydeco",), "r")
        assert request.sampling.top_k == 40

    run(scene)


def test_a_version_in_the_path_is_pinned() -> None:
    async def scene(door: DoorBench) -> None:
        answer = (await door.generate("/v1/models/lcgan/versions/1:generate")).json()
        assert answer["model"]["version"] == "1"

    run(scene)


def test_an_answer_has_every_field_of_the_message_and_seeds_as_text() -> None:
    async def scene(door: DoorBench) -> None:
        answer = (await door.generate(genres=["ambient"])).json()
        fields = {field.name for field in commentary_pb2.GenerateResponse.DESCRIPTOR.fields if not field.has_presence}
        assert fields <= set(answer)
        (sample,) = answer["samples"]
        assert sample["text"] == "naïve"
        assert sample["seed"] == str(2**62 + 1)
        assert sample["topics"] == [0.25, 0.75]
        assert answer["arms"][0]["model"]["version"] == "2"

    run(scene, answer=answer_sample)


@pytest.mark.parametrize("seed", [2**62 + 1, str(2**62 + 1)])
def test_a_seed_may_be_a_number_or_text(seed: object) -> None:
    async def scene(door: DoorBench) -> None:
        assert (await door.generate(seed=seed)).status_code == 200
        assert door.bench.backend.seen[0][2].seed == 2**62 + 1

    run(scene)


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"num_samples": 0}, "num_samples"),
        ({"num_samples": True}, "num_samples"),
        ({"num_samples": "5"}, "num_samples"),
        ({"temperature": 1e400}, ""),
        ({"top_p": 1.5}, "top_p"),
        ({"genres": "dream pop"}, "genres"),
        ({"genres": ["x" * 201]}, "genres"),
        ({"artist": "NUL \0"}, "artist"),
        ({"title": "\ud800"}, "title"),
        ({"seed": "-1"}, "seed"),
        ({"seed": "12a"}, "seed"),
        ({"seed": "9" * 5000}, "seed"),
        ({"interleave": 1}, "interleave"),
        ({"model": "cvae"}, "model"),
        ({"version": "2"}, "version"),
        ({"nonsense": 1}, "nonsense"),
        ({"\ud800": 1}, "\\ud800"),
    ],
)
def test_a_wrong_value_is_a_bad_request_that_names_its_field(values: dict[str, Any], field: str) -> None:
    async def scene(door: DoorBench) -> None:
        response = await door.client.post(GENERATE, content=json.dumps(values), headers=JSON)
        assert response.status_code == 400
        assert response.headers["Content-Type"] == "application/problem+json"
        problem = response.json()
        assert problem["code"] == "INVALID_ARGUMENT"
        assert problem.get("field", "") == field
        assert (problem["status"], problem["title"]) == (400, "Bad Request")
        assert door.bench.backend.seen == []

    run(scene)


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b"{", b"null", b"\xff\xfe{", b'{"seed": 1, "seed": 2}', b"[" * 100_000, b'{"top_p": NaN}'],
)
def test_a_body_that_is_not_one_json_object_is_a_bad_request(body: bytes) -> None:
    async def scene(door: DoorBench) -> None:
        response = await door.client.post(GENERATE, content=body, headers=JSON)
        assert response.status_code == 400
        assert response.json()["code"] == "INVALID_ARGUMENT"

    run(scene)


@pytest.mark.parametrize("media_type", ["text/plain", "application/x-www-form-urlencoded", "application/jsonx", None])
def test_a_body_that_any_page_could_post_is_refused(media_type: str | None) -> None:
    async def scene(door: DoorBench) -> None:
        headers = {"Content-Type": media_type} if media_type else {}
        response = await door.client.post(GENERATE, content=b"{}", headers=headers)
        assert response.status_code == 415
        assert door.bench.backend.seen == []

    run(scene)


def test_parameters_of_the_media_type_are_allowed() -> None:
    async def scene(door: DoorBench) -> None:
        headers = {"Content-Type": "Application/JSON; charset=utf-8"}
        assert (await door.client.post(GENERATE, content=b"{}", headers=headers)).status_code == 200

    run(scene)


@pytest.mark.parametrize("is_stated", [True, False])
def test_a_body_above_the_limit_is_refused(is_stated: bool) -> None:
    async def scene(door: DoorBench) -> None:
        async def parts() -> Any:
            for _ in range(MAX_BODY_BYTES // 1000 + 1):
                yield b" " * 1000

        content: Any = b" " * (MAX_BODY_BYTES + 1) if is_stated else parts()
        response = await door.client.post(GENERATE, content=content, headers=JSON)
        assert response.status_code == 413

    run(scene)


def test_the_largest_request_of_the_contract_fits_however_it_is_written() -> None:
    genres = ["\N{MUSICAL SYMBOL G CLEF}" * 200] * 64
    texts = dict.fromkeys(("artist", "title", "topic", "unit", "request_id"), "𝄞" * 200)
    body = json.dumps({"genres": genres, "bad_words": ["\N{MATHEMATICAL BOLD CAPITAL A}" * 200] * 64, **texts})

    async def scene(door: DoorBench) -> None:
        response = await door.client.post(GENERATE, content=body, headers=JSON)
        assert response.status_code == 200, response.text

    run(scene)


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1:8080", 200),
        ("localhost", 200),
        ("LOCALHOST:1", 200),
        ("[::1]:8080", 200),
        ("attacker.example", 421),
        ("127.0.0.1.attacker.example", 421),
        ("localhost@attacker.example", 421),
        ("", 421),
        ("[", 421),
        ("169.254.169.254", 421),
    ],
)
def test_a_page_whose_name_was_rebound_to_this_machine_is_refused(host: str, status: int) -> None:
    async def scene(door: DoorBench) -> None:
        response = await door.generate(headers={"Host": host})
        assert response.status_code == status

    run(scene)


def test_a_door_for_other_machines_takes_any_name() -> None:
    async def scene(door: DoorBench) -> None:
        assert (await door.generate(headers={"Host": "gateway.example"})).status_code == 200

    run(scene, http=HttpSettings(host="0.0.0.0"))  # noqa: S104 - it does not listen


@pytest.mark.parametrize(
    ("failure", "status", "code"),
    [
        ((grpc.StatusCode.UNAVAILABLE, "Prediction failed"), 500, "INTERNAL"),
        ((grpc.StatusCode.INTERNAL, "Model lcgan has no worker to serve"), 503, "UNAVAILABLE"),
    ],
)
def test_a_failure_has_the_status_of_its_grpc_code(
    failure: tuple[grpc.StatusCode, str], status: int, code: str
) -> None:
    async def scene(door: DoorBench) -> None:
        door.bench.backend.failure = failure
        response = await door.generate()
        assert response.status_code == status
        assert response.json()["code"] == code
        assert ("Retry-After" in response.headers) == (status == 503)

    run(scene)


@pytest.mark.parametrize("path", ["/v1/models/nobody:generate", "/v1/models/lcgan/versions/9:generate"])
def test_an_unknown_model_or_version_is_not_found(path: str) -> None:
    async def scene(door: DoorBench) -> None:
        response = await door.generate(path)
        assert response.status_code == 404
        assert response.json()["code"] == "NOT_FOUND"

    run(scene)


def test_a_full_gateway_asks_for_a_pause() -> None:
    async def scene(door: DoorBench) -> None:
        held = [asyncio.create_task(door.generate()) for _ in range(2)]
        await asyncio.sleep(0.1)
        refused = await door.generate()
        assert refused.status_code == 429
        assert refused.json()["code"] == "RESOURCE_EXHAUSTED"
        assert 50 <= refused.json()["retry_after_ms"] <= 5000
        assert 1 <= int(refused.headers["Retry-After"]) <= 5
        release.set()
        assert [(await each).status_code for each in held] == [200, 200]

    release = asyncio.Event()

    async def answer(request: CommentaryRequest) -> str:
        await release.wait()
        return await answer_well(request)

    run(scene, answer=answer, max_in_flight=2)


def test_the_time_that_a_client_gives_is_kept() -> None:
    async def answer(request: CommentaryRequest) -> str:
        await asyncio.sleep(5)
        return await answer_well(request)

    async def scene(door: DoorBench) -> None:
        response = await asyncio.wait_for(door.generate(headers={TIMEOUT_HEADER: "0.3"}), 3)
        assert response.status_code == 504
        assert response.json()["code"] == "DEADLINE_EXCEEDED"

    run(scene, answer=answer)


@pytest.mark.parametrize("given", ["", "0", "-1", "nan", "inf", "1s", "x"])
def test_a_time_that_is_not_a_number_of_seconds_is_refused(given: str) -> None:
    async def scene(door: DoorBench) -> None:
        response = await door.generate(headers={TIMEOUT_HEADER: given})
        assert response.status_code == 400
        assert response.json()["field"] == TIMEOUT_HEADER

    run(scene)


def test_the_live_versions_are_those_of_describe() -> None:
    async def scene(door: DoorBench) -> None:
        everything = (await door.client.get("/v1/models")).json()
        assert [model["name"] for model in everything["models"]] == ["lcgan", "cvae"]
        assert everything["models"][0]["champion"] == "2"
        assert everything["limits"]["max_samples"] == 64
        one = (await door.client.get("/v1/models/cvae")).json()
        assert [model["name"] for model in one["models"]] == ["cvae"]
        assert (await door.client.get("/v1/models/nobody")).status_code == 404

    run(scene)


def test_readiness_follows_the_workers_and_health_the_process() -> None:
    async def scene(door: DoorBench) -> None:
        assert (await door.client.get("/readyz")).status_code == 200
        door.bench.connection.inference = None
        refused = await door.client.get("/readyz")
        assert (refused.status_code, refused.json()["code"]) == (503, "UNAVAILABLE")
        assert (await door.client.get("/healthz")).status_code == 200

    run(scene)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/", 404), ("GET", "/v1/models/", 404), ("DELETE", "/v1/models", 405), ("OPTIONS", GENERATE, 405)],
)
def test_other_paths_and_methods_are_refused_as_problems(method: str, path: str, status: int) -> None:
    async def scene(door: DoorBench) -> None:
        response = await door.client.request(method, path)
        assert response.status_code == status
        assert response.headers["Content-Type"] == "application/problem+json"

    run(scene)


def test_a_client_without_a_token_is_refused_before_its_body_is_read(tmp_path: Path) -> None:
    path = tmp_path / "clients.json"
    token = add_client(path, "ana", limits=ClientLimits(max_calls=1), now=0, expires=None)
    known = {"Authorization": f"Bearer {token}"}

    async def scene(door: DoorBench) -> None:
        for headers in ({}, {"Authorization": "Bearer x"}, {"Authorization": f"Basic {token}"}):
            response = await door.client.post(GENERATE, content=b"{", headers=headers)
            assert (response.status_code, response.headers["WWW-Authenticate"]) == (401, "Bearer")
            assert response.json()["code"] == "UNAUTHENTICATED"
        assert (await door.client.get("/v1/models")).status_code == 401
        assert (await door.client.get("/readyz")).status_code == 200
        assert (await door.generate(headers=known)).status_code == 200
        assert len(door.bench.backend.seen) == 1
        # A client has one limit for both doors.
        access = door.bench.gateway.security.access
        assert access is not None
        held = access.enter(known["Authorization"], "ipv4:127.0.0.1:1")
        refused = await door.generate(headers=known)
        assert (refused.status_code, refused.headers["Retry-After"]) == (429, "1")
        held.close()
        assert (await door.generate(headers=known)).status_code == 200

    run(scene, security=SecuritySettings(clients_file=path))


def test_an_address_has_one_limit_for_both_doors() -> None:
    async def scene(door: DoorBench) -> None:
        access = door.bench.gateway.security.access
        assert access is not None
        held = access.enter(None, "ipv4:127.0.0.1:1")
        assert (await door.generate()).status_code == 429
        held.close()
        assert (await door.generate()).status_code == 200

    run(scene, security=SecuritySettings(limits=ClientLimits(max_calls=1)))


def test_a_fault_of_the_door_is_logged_and_told_as_internal(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scene(door: DoorBench) -> None:
        def broken(*_: Any, **__: Any) -> None:
            raise KeyError("a bug")

        monkeypatch.setattr(door.bench.gateway.calls, "answer", broken)
        response = await door.generate()
        assert (response.status_code, response.json()["code"]) == (500, "INTERNAL")
        assert "bug" not in response.text

    run(scene)
    assert "a bug" in caplog.text
