"""Webhooks of MLflow at the door: signed by MLflow's own code, and every way in which one can be wrong."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mlflow.webhooks.delivery import _generate_hmac_signature

from serving.http.app import HttpApp
from serving.http.problems import ProblemError
from serving.http.settings import HttpSettings
from serving.http.webhooks import (
    ID_HEADER,
    MAX_AGE_S,
    MAX_WEBHOOK_BYTES,
    SIGNATURE_HEADER,
    TIMESTAMP_HEADER,
    WEBHOOK_PATH,
    WebhookReceiver,
)
from tests.serving.loopback_gateway import bench

SECRET = "0123456789abcdef"  # noqa: S105 - of this test
NOW = 1_800_000_000.0
BODY = json.dumps({"entity": "model_version_alias", "action": "created", "data": {"name": "lcgan"}})


class Woken:
    """A receiver, its clock, and how often it woke the poll."""

    def __init__(self, **limits: int) -> None:
        self.times = 0
        self.now = NOW
        self.receiver = WebhookReceiver(SECRET, wake=self._wake, clock=lambda: self.now, **limits)

    def _wake(self) -> None:
        self.times += 1

    def status(self, headers: dict[str, str], body: str = BODY) -> int:
        try:
            self.receiver.receive(headers, body.encode())
        except ProblemError as problem:
            return problem.status
        return 204


def delivery(*, number: int = 1, at: float = NOW, secret: str = SECRET, body: str = BODY) -> dict[str, str]:
    name, stamp = f"delivery-{number}", str(int(at))
    return {
        ID_HEADER: name,
        TIMESTAMP_HEADER: stamp,
        SIGNATURE_HEADER: _generate_hmac_signature(secret, name, stamp, body),
    }


def test_a_delivery_that_mlflow_has_signed_wakes_the_poll() -> None:
    it = Woken()
    assert it.status(delivery()) == 204
    assert it.times == 1
    assert it.receiver.counts == {"accepted": 1, "repeated": 0, "refused": 0}


def test_the_names_of_the_headers_are_mlflows() -> None:
    from mlflow.webhooks import constants

    assert ID_HEADER == constants.WEBHOOK_DELIVERY_ID_HEADER
    assert TIMESTAMP_HEADER == constants.WEBHOOK_TIMESTAMP_HEADER
    assert SIGNATURE_HEADER == constants.WEBHOOK_SIGNATURE_HEADER


@pytest.mark.parametrize(
    "headers",
    [
        {},
        delivery(secret="another secret!!"),  # noqa: S106 - of this test
        delivery(body=BODY + " "),
        delivery() | {ID_HEADER: "delivery-2"},
        delivery() | {TIMESTAMP_HEADER: str(int(NOW) + 1)},
        delivery() | {SIGNATURE_HEADER: ""},
        delivery() | {SIGNATURE_HEADER: delivery()[SIGNATURE_HEADER].removeprefix("v1,")},
        delivery() | {SIGNATURE_HEADER: "v1,é"},
        delivery() | {SIGNATURE_HEADER: "v1,"},
        delivery() | {TIMESTAMP_HEADER: "٣"},
        delivery() | {TIMESTAMP_HEADER: "9" * 4000},
        delivery() | {ID_HEADER: "x" * 201},
        delivery(at=NOW - MAX_AGE_S - 1),
        delivery(at=NOW + MAX_AGE_S + 1),
    ],
)
def test_a_delivery_that_is_not_mlflows_or_not_of_now_wakes_nothing(headers: dict[str, str]) -> None:
    it = Woken()
    assert it.status(headers) == 401
    assert it.times == 0
    assert it.receiver.counts["refused"] == 1


@given(flipped=st.integers(0, 8 * 32 - 1))
def test_no_bit_of_a_signature_may_differ(flipped: int) -> None:
    import base64

    good = base64.b64decode(delivery()[SIGNATURE_HEADER].removeprefix("v1,"))
    wrong = bytearray(good)
    wrong[flipped // 8] ^= 1 << flipped % 8
    it = Woken()
    assert it.status(delivery() | {SIGNATURE_HEADER: "v1," + base64.b64encode(wrong).decode()}) == 401


def test_a_delivery_is_taken_once_for_as_long_as_its_timestamp_is_good() -> None:
    it = Woken()
    early = delivery(at=NOW + MAX_AGE_S)
    assert it.status(early) == 204
    for it.now in (NOW, NOW + 1, NOW + 2 * MAX_AGE_S):
        assert it.status(early) == 409
    it.now = NOW + 2 * MAX_AGE_S + 1
    assert it.status(early) in {401, 409}
    assert it.times == 1


def test_the_memory_of_deliveries_is_bounded_and_clears_itself() -> None:
    it = Woken(max_deliveries=3)
    assert [it.status(delivery(number=number)) for number in range(4)] == [204, 204, 204, 503]
    it.now += 2 * MAX_AGE_S + 1
    assert it.status(delivery(number=4, at=it.now)) == 204
    assert len(it.receiver._seen) == 1


def post(path: str, body: bytes, headers: dict[str, str], *, secret: str = SECRET) -> tuple[int, int]:
    """Status of a post to a door, and how often it woke the poll."""
    times = 0

    def wake() -> None:
        nonlocal times
        times += 1

    async def scene() -> int:
        async with bench() as it:
            receiver = WebhookReceiver(secret, wake=wake) if secret else None
            app: Any = HttpApp(it.gateway, HttpSettings(), webhooks=receiver).asgi()
            async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost") as client:
                return (await client.post(path, content=body, headers=headers)).status_code

    return asyncio.run(scene()), times


def test_the_door_takes_webhooks_if_it_has_a_secret() -> None:
    headers = {"Content-Type": "application/json", **delivery(at=time.time())}
    assert post(WEBHOOK_PATH, BODY.encode(), headers) == (204, 1)
    assert post(WEBHOOK_PATH, BODY.encode(), headers, secret="") == (404, 0)
    assert post(WEBHOOK_PATH, BODY.encode(), headers | {SIGNATURE_HEADER: "v1,x"}) == (401, 0)
    assert post(WEBHOOK_PATH, b"x" * (MAX_WEBHOOK_BYTES + 1), headers) == (413, 0)
    assert post(WEBHOOK_PATH, BODY.encode(), headers | {"Content-Type": "text/plain"}) == (415, 0)
