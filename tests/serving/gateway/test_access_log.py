from __future__ import annotations

import asyncio
import json
import logging
from datetime import datetime
from pathlib import Path
from typing import Any

import grpc
import pytest

from serving.errors import ServingError
from serving.gateway.access_log import STANDARD_OUTPUT, open_access_log
from serving.v1 import commentary_pb2
from tests.serving.http.doors import in_process
from tests.serving.loopback_gateway import Bench, bench, failure_of, until

PARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
SONG: dict[str, Any] = {"artist": "The Lanterns", "title": "Slow Tide", "genres": ["dream pop"], "topic": "1 lyrics"}


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_each_call_has_a_line_and_none_tells_the_song(tmp_path: Path) -> None:
    path = tmp_path / "access.jsonl"

    async def scene() -> None:
        with open_access_log(str(path)) as log:
            async with bench(access_log=log) as it:
                await it.generate(**SONG, request_id="r1", traceparent=PARENT)
                await failure_of(it.generate(**SONG, version="99", request_id="r2"))
                await failure_of(it.generate(**SONG, num_samples=-1))
                await it.stub.Describe(commentary_pb2.DescribeRequest())

    asyncio.run(scene())
    answered, unknown, invalid, described = lines(path)
    assert datetime.fromisoformat(answered.pop("time")).tzinfo is not None
    assert answered.pop("ms") > 0
    assert answered.pop("client").startswith("ipv4:127.0.0.1:")
    assert answered == {
        "method": "deephypebot.v1.Commentary/Generate",
        "code": "OK",
        "model": "lcgan",
        "version": "2",
        "samples": 0,
        "request_id": "r1",
        "trace_id": PARENT.split("-")[1],
    }
    assert (unknown["code"], unknown["version"], unknown["request_id"]) == ("NOT_FOUND", "99", "r2")
    assert invalid["code"] == "INVALID_ARGUMENT"
    assert (described["method"], described["code"]) == ("deephypebot.v1.Commentary/Describe", "OK")
    text = path.read_text()
    assert not [value for value in ("Lanterns", "Slow Tide", "dream pop", "lyrics") if value in text]


def test_a_client_that_leaves_has_a_line(tmp_path: Path) -> None:
    path = tmp_path / "access.jsonl"

    async def scene(it: Bench) -> None:
        call = it.stub.Generate(commentary_pb2.GenerateRequest())
        await until(lambda: it.backend.seen)
        call.cancel()
        await asyncio.gather(call, return_exceptions=True)
        await until(path.read_text)

    async def never(_: Any) -> str:
        await asyncio.Event().wait()
        return ""

    async def play() -> None:
        with open_access_log(str(path)) as log:
            async with bench(never, access_log=log, drain_s=0.1) as it:
                await asyncio.wait_for(scene(it), 20)

    asyncio.run(play())
    assert [line["code"] for line in lines(path)] == [grpc.StatusCode.CANCELLED.name]


def test_a_file_that_was_moved_away_is_begun_anew(tmp_path: Path) -> None:
    path = tmp_path / "access.jsonl"
    with open_access_log(str(path)) as log:
        assert log is not None
        for _ in range(2):
            with log.call("a/B", "somebody") as access:
                access.code = "OK"
            path.rename(tmp_path / "access.1") if not (tmp_path / "access.1").exists() else None
    assert [line["method"] for line in lines(path)] == ["a/B"]
    assert len(lines(tmp_path / "access.1")) == 1


def test_the_log_may_be_standard_output(capsys: pytest.CaptureFixture[str]) -> None:
    with open_access_log(STANDARD_OUTPUT) as log:
        assert log is not None
        with log.call("a/B", "somebody"):
            pass
    assert json.loads(capsys.readouterr().out)["code"] == "CANCELLED"


def test_a_file_that_cannot_be_opened_is_named_with_the_option(tmp_path: Path) -> None:
    missing = tmp_path / "none" / "access.jsonl"
    with pytest.raises(ServingError, match=rf"{missing} .*--access-log"), open_access_log(str(missing)):
        pass


def test_a_disk_that_takes_no_more_is_told_once_and_ends_no_call(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    with caplog.at_level(logging.WARNING), open_access_log("/dev/full") as log:
        assert log is not None
        for _ in range(3):
            with log.call("a/B", "somebody") as access:
                access.code = "OK"
        monkeypatch.undo()
    assert ["No space left" in record.getMessage() for record in caplog.records] == [True]


def test_without_a_path_no_log_is_kept() -> None:
    with open_access_log(None) as log:
        assert log is None


def test_calls_by_http_have_lines_with_their_route_and_continue_their_trace(tmp_path: Path) -> None:
    path = tmp_path / "access.jsonl"

    async def scene() -> None:
        with open_access_log(str(path)) as log:
            async with in_process(access_log=log) as door:
                await door.generate(headers={"traceparent": PARENT}, genres=["pop"], request_id="r1")
                await door.generate("/v1/models/lcgan/versions/99:generate", genres=["pop"])
                await door.generate(genres=7)

    asyncio.run(scene())
    found = [(line["method"], line["code"], line["version"], line["trace_id"]) for line in lines(path)]
    assert found == [
        ("POST /v1/models/{model}:generate", "200", "2", PARENT.split("-")[1]),
        ("POST /v1/models/{model}/versions/{version}:generate", "404", "99", ""),
        ("POST /v1/models/{model}:generate", "400", "", ""),
    ]
