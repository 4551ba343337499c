from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import requests
import tweepy

from bot.sandbox.calls import Fault, FaultKind, FaultQueue
from bot.sandbox.client import SandboxControl
from bot.sandbox.server import SandboxServer
from tests.bot.helpers.sandbox_clients import open_x


@pytest.fixture
def client(sandbox: SandboxServer) -> tweepy.Client:
    return open_x(sandbox)


def test_a_fault_hits_its_operation_after_those_to_skip_and_as_often_as_it_says() -> None:
    queue = FaultQueue()
    queue.add(Fault(operation="x.*", kind=FaultKind.STATUS, skip=1, times=2))
    hits = [queue.take(name) is not None for name in ("y.a", "x.a", "x.b", "y.b", "x.a", "x.a")]
    assert hits == [False, False, True, False, True, False]
    assert not len(queue)


@pytest.mark.parametrize("fields", [{"kind": "fire"}, {"times": 0}, {"skip": -1}, {"colour": "red"}])
def test_a_fault_that_makes_no_sense_is_refused(sandbox: SandboxServer, fields: dict[str, object]) -> None:
    with pytest.raises(RuntimeError, match="faults"):
        sandbox.control.fail("x.me", **{"kind": "status", **fields})  # type: ignore[arg-type]


def test_an_error_status_comes_in_the_services_own_words(sandbox: SandboxServer, client: tweepy.Client) -> None:
    sandbox.control.fail("x.create_tweet", status=429, headers={"x-rate-limit-reset": "1700000000"})
    with pytest.raises(tweepy.TooManyRequests) as caught:
        client.create_tweet(text="hello")
    assert caught.value.reset_time == 1700000000
    assert sandbox.control.posted() == []


def test_an_applied_fault_carries_the_operation_out(sandbox: SandboxServer, client: tweepy.Client) -> None:
    sandbox.control.fail("x.create_tweet", status=503, applied=True)
    with pytest.raises(tweepy.TwitterServerError):
        client.create_tweet(text="hello")
    assert [post["text"] for post in sandbox.control.posted()] == ["hello"]
    assert sandbox.control.calls()[-1]["applied"]


def test_a_proxys_page_is_html(sandbox: SandboxServer, client: tweepy.Client) -> None:
    sandbox.control.fail("x.me", kind="html", status=502)
    with pytest.raises(tweepy.TwitterServerError) as caught:
        client.get_me(user_auth=True)
    assert caught.value.response.text.startswith("<!DOCTYPE html>")


def test_a_truncated_answer_ends_within_its_body(sandbox: SandboxServer, client: tweepy.Client) -> None:
    sandbox.control.fail("x.create_tweet", kind="truncated", applied=True)
    with pytest.raises(requests.exceptions.ChunkedEncodingError):
        client.create_tweet(text="hello")
    assert len(sandbox.control.posted()) == 1


def test_a_hanging_call_is_silent_for_as_long_as_it_says(sandbox: SandboxServer, client: tweepy.Client) -> None:
    sandbox.control.fail("x.me", kind="hang", delay_s=0.3)
    begin = time.monotonic()
    with pytest.raises(tweepy.TwitterServerError):
        client.get_me(user_auth=True)
    assert time.monotonic() - begin >= 0.3


def test_an_expired_token_stays_refused_until_it_is_renewed(sandbox: SandboxServer, client: tweepy.Client) -> None:
    sandbox.control.fail("x.me", kind="expired")
    for _ in range(2):
        with pytest.raises(tweepy.Unauthorized):
            client.get_me(user_auth=True)
    sandbox.control.renew()
    assert client.get_me(user_auth=True).data


@pytest.mark.parametrize("applied", [False, True])
def test_a_held_call_is_answered_when_it_is_released(
    sandbox: SandboxServer, client: tweepy.Client, *, applied: bool
) -> None:
    sandbox.control.fail("x.create_tweet", kind="hold", applied=applied)
    answers: list[object] = []
    caller = threading.Thread(target=lambda: answers.append(client.create_tweet(text="hello").data["text"]))
    caller.start()
    assert sandbox.control.wait_for_hold()["operation"] == "x.create_tweet"
    assert len(sandbox.control.posted()) == applied
    sandbox.control.release()
    caller.join()
    assert answers == ["hello"]
    assert len(sandbox.control.posted()) == 1


CALLER = """
import json, sys
from bot.sandbox.account import SandboxSettings
from tests.bot.helpers.sandbox_clients import open_x
class Server:
    settings = SandboxSettings.from_json(sys.stdin.read())
open_x(Server).create_tweet(text="hello")
"""


@pytest.mark.slow
@pytest.mark.parametrize("applied", [False, True])
def test_a_held_call_of_a_process_that_is_killed_is_applied_only_if_it_was_before(
    sandbox: SandboxServer, *, applied: bool
) -> None:
    sandbox.control.fail("x.create_tweet", kind="hold", applied=applied)
    with subprocess.Popen([sys.executable, "-c", CALLER], stdin=subprocess.PIPE, cwd=Path(__file__).parents[3]) as bot:
        assert bot.stdin is not None
        bot.stdin.write(json.dumps(sandbox.settings.as_document()).encode())
        bot.stdin.close()
        sandbox.control.wait_for_hold()
        bot.send_signal(signal.SIGKILL)
    deadline = time.monotonic() + 10
    while sandbox.control.calls()[-1]["status"] is None and time.monotonic() < deadline:
        time.sleep(0.02)
    assert len(sandbox.control.posted()) == applied


@pytest.mark.slow
def test_a_process_of_its_own_writes_its_settings_and_ends_on_sigterm(tmp_path: Path) -> None:
    place = tmp_path / "sandbox.json"
    command = [sys.executable, "-m", "bot.sandbox", "--settings", str(place)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=os.environ | {"PYTHONUNBUFFERED": "1"}) as it:
        assert it.stdout is not None
        printed = json.loads(it.stdout.readline())
        assert json.loads(place.read_text(encoding="utf-8")) == printed
        assert place.stat().st_mode & 0o077 == 0
        control = SandboxControl(printed["url"])
        assert control.settings().as_document() == printed
        assert open_client_of(control).get_home_timeline().data
        it.terminate()
        # uvicorn ends in good order and then passes the signal on.
        assert it.wait(10) in (0, -signal.SIGTERM)


def open_client_of(control: SandboxControl) -> tweepy.Client:
    class Server:
        settings = control.settings()

    return open_x(Server)  # type: ignore[arg-type]
