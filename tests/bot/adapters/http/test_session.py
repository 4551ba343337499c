from __future__ import annotations

import copy
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import requests

from bot.adapters.http.session import NetworkSession, excerpt, retry_time, was_sent
from bot.sandbox.server import SandboxServer

NOW = datetime(2026, 1, 4, 10, tzinfo=UTC)


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, None),
        ({"retry-after": "30"}, NOW + timedelta(seconds=30)),
        ({"retry-after": "Sun, 04 Jan 2026 10:01:00 GMT"}, NOW + timedelta(minutes=1)),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "9" * 30}, None),
        ({"x-rate-limit-reset": str(int(NOW.timestamp()))}, NOW),
        ({"x-ratelimit-reset": "2026-01-04T10:00:00.000Z"}, NOW),
        ({"ratelimit-reset": "nan"}, None),
        ({"x-rate-limit-reset": "", "retry-after": "1"}, NOW + timedelta(seconds=1)),
        ({"x-rate-limit-reset": "9" * 30}, None),
    ],
)
def test_when_to_come_back_is_read_in_every_form(headers: dict[str, str], expected: datetime | None) -> None:
    assert retry_time(headers, now=NOW) == expected


@pytest.mark.parametrize("header", ["retry-after", "x-ratelimit-reset", "x-rate-limit-reset", "ratelimit-reset"])
@pytest.mark.parametrize("value", ["2026-01-04T10:00:00", "Sun, 04 Jan 2026 10:01:00 -0000", "1e400", "-1", "T"])
def test_a_time_is_aware_whatever_the_header_says(header: str, value: str) -> None:
    at = retry_time({header: value}, now=NOW)
    assert at is None or at.tzinfo is not None


@pytest.mark.slow
def test_a_connection_that_was_never_made_sent_nothing_and_one_that_broke_may_have(sandbox: SandboxServer) -> None:
    session = NetworkSession(timeout_s=0.5)
    for address in ("http://127.0.0.1:9/", "http://no-such-host.invalid/", "nonsense"):
        with pytest.raises(requests.RequestException) as caught:
            session.post(address)
        assert not was_sent(caught.value)
    sandbox.control.fail("spotify.token", kind="truncated")
    with pytest.raises(requests.RequestException) as caught:
        session.post(f"{sandbox.settings.url}/api/token")
    assert was_sent(caught.value)
    sandbox.control.fail("spotify.token", kind="hang", delay_s=1)
    with pytest.raises(requests.RequestException) as caught:
        session.post(f"{sandbox.settings.url}/api/token")
    assert was_sent(caught.value)


def test_an_entry_in_netrc_does_not_replace_a_token(
    sandbox: SandboxServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("default login somebody password else\n")
    monkeypatch.setenv("NETRC", str(netrc))
    headers = {"Authorization": f"Bearer {sandbox.settings.mastodon_access_token}"}
    answer = NetworkSession().get(f"{sandbox.settings.url}/api/v1/accounts/verify_credentials", headers=headers)
    assert answer.status_code == 200


@pytest.mark.slow
def test_a_copy_keeps_its_time_out_and_its_addresses(sandbox: SandboxServer) -> None:
    session = copy.deepcopy(NetworkSession(timeout_s=0.5, swaps={"https://example.org": sandbox.settings.url}))
    assert session.get("https://example.org/sandbox/settings").json()["url"] == sandbox.settings.url
    sandbox.control.fail("spotify.token", kind="hang", delay_s=1)
    with pytest.raises(requests.ReadTimeout):
        session.post("https://example.org/api/token", timeout=100)


def test_what_is_shown_of_an_answer_is_short_and_no_html() -> None:
    assert excerpt("two\n lines") == "two lines"
    assert len(excerpt("x" * 1000)) == 200
    assert excerpt("<!DOCTYPE html><p>secret") == excerpt("  <HTML>") == "a page of HTML instead of an answer"
