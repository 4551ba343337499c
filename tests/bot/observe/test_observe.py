"""The log, the metrics, the health endpoint: what they show, and what they never do."""

from __future__ import annotations

import json
import logging
import platform
import socket
import urllib.error
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from bot.adapters.sqlite.store import SqliteStore
from bot.domain.errors import SettingsError, StoreError
from bot.entrypoints.foreground import log_pass
from bot.observe.health import Pulse, serving
from bot.observe.log import Redactor, open_log
from bot.observe.metrics import StateCollector, registry
from bot.observe.watch import watched
from bot.ports import FeedPage
from bot.services.service import Bot
from bot.services.summary import Summary
from bot.settings import BotSettings

HUSH = "hush-hush-12345"


@pytest.fixture
def logging_as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers, root.level = handlers, level


def lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


@pytest.mark.usefixtures("logging_as_before")
def test_events_are_json_lines_with_a_time_and_without_secrets(capsys: pytest.CaptureFixture[str]) -> None:
    log = open_log(Redactor([HUSH, "abc"]), as_json=True)
    log.warning("problem", what=f"GET https://example.org?key={HUSH}", which=[HUSH, "x\x1b[2J"], number=3)
    logging.getLogger("urllib3").warning("retrying %s", f"https://example.org?key={HUSH}")
    printed = capsys.readouterr().err
    first, second = lines(printed)
    assert HUSH not in printed
    assert (first["event"], first["level"], first["number"]) == ("problem", "warning", 3)
    assert first["what"] == "GET https://example.org?key=[secret]"
    assert first["which"] == ["[secret]", "x\N{REPLACEMENT CHARACTER}[2J"]
    assert datetime.fromisoformat(first["timestamp"]) > datetime.now(UTC) - timedelta(minutes=1)
    assert second["event"] == "retrying https://example.org?key=[secret]"


@pytest.mark.usefixtures("logging_as_before")
def test_an_exception_is_logged_without_the_secret_in_it(capsys: pytest.CaptureFixture[str]) -> None:
    log = open_log(Redactor([HUSH]), as_json=True)
    try:
        int(HUSH)
    except ValueError:
        log.exception("broke")
    printed = capsys.readouterr().err
    assert "ValueError: invalid literal for int() with base 10: '[secret]'" in printed
    assert HUSH not in printed


@pytest.mark.usefixtures("logging_as_before")
def test_a_pass_is_one_event_with_the_counts_that_matter(capsys: pytest.CaptureFixture[str]) -> None:
    log = open_log(Redactor([]), as_json=True)
    log_pass(log, Summary())
    log_pass(log, Summary(source_posts_read=2, candidates=5, problems=["x: 502"], notices=["replaced"], outage="away"))
    log_pass(log, StoreError("locked"))
    events = [(line["event"], line["level"]) for line in lines(capsys.readouterr().err)]
    assert events == [
        ("problem", "warning"),
        ("notice", "info"),
        ("no commentary", "warning"),
        ("pass", "info"),
        ("pass failed", "error"),
    ]


def scrape(store: SqliteStore, now: datetime) -> dict[str, float]:
    text = generate_latest(registry(StateCollector(store.state, lambda: now))).decode()
    samples = (line.rpartition(" ") for line in text.splitlines() if not line.startswith("#"))
    return {name: float(value) for name, _, value in samples}


def test_metrics_tell_the_state_and_survive_a_restart(make_bot: Any, database: Path) -> None:
    bot: Bot = make_bot()
    bot.tick()
    now = datetime.now(UTC) + timedelta(seconds=30)
    with SqliteStore(database) as other:
        found = scrape(other, now)
    assert found['deephypebot_bot_source_posts{status="done"}'] == 3
    assert found['deephypebot_bot_candidates{status="waiting"}'] == 25
    assert found["deephypebot_bot_parse_ratio"] == pytest.approx(0.75)
    (age,) = [value for name, value in found.items() if name.startswith("deephypebot_bot_poll_age_seconds")]
    assert 29 <= age <= 60
    assert found["deephypebot_bot_outbox_posts"] == 0
    assert found["deephypebot_bot_spend_this_month_dollars"] == 0
    (build,) = [name for name in found if name.startswith("deephypebot_bot_build_info")]
    assert f'python="{platform.python_version()}"' in build
    assert 'version="' in build
    assert found[build] == 1


def test_usage_is_labelled_by_network_and_item(store: SqliteStore) -> None:
    store.add_page("x:timeline:1", FeedPage(source_posts=(), cursor="1", more=False, billed=7))
    found = scrape(store, datetime.now(UTC))
    assert found['deephypebot_bot_usage_this_month{item="read",network="x"}'] == 7


def test_an_empty_store_has_no_rates_but_can_be_scraped(store: SqliteStore) -> None:
    found = scrape(store, datetime.now(UTC))
    assert "deephypebot_bot_parse_ratio" not in found
    assert found['deephypebot_bot_outgoing_posts{status="sent"}'] == 0


def get(port: int, path: str) -> tuple[int, bytes]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


@pytest.mark.slow
def test_health_turns_when_passes_stay_away_and_not_when_a_network_does(store: SqliteStore) -> None:
    time = [100.0]
    pulse = Pulse(patience_s=60, now=lambda: time[0])
    # Between threads: the scrape reads a state that was taken before.
    state = store.state()
    with serving(0, registry(StateCollector(lambda: state, lambda: datetime.now(UTC))), pulse) as port:
        assert get(port, "/healthz")[0] == 200
        pulse.beat("x: 502")
        time[0] = 159.0
        status, body = get(port, "/healthz")
        assert (status, json.loads(body)) == (
            200,
            {"healthy": True, "seconds_since_pass": 59.0, "problem": "x: 502"},
        )
        time[0] = 161.0
        assert get(port, "/healthz")[0] == 503
        assert b"deephypebot_bot_source_posts" in get(port, "/metrics")[1]
        assert get(port, "/secrets")[0] == 404
        with (
            pytest.raises(SettingsError, match=f"metrics_port {port} cannot be used"),
            serving(port, registry(StateCollector(lambda: state, lambda: datetime.now(UTC))), pulse),
        ):
            pass
    with pytest.raises(urllib.error.URLError):
        get(port, "/healthz")


@pytest.mark.slow
def test_a_running_bot_shows_its_database_on_the_port_of_the_settings(make_bot: Any, database: Path) -> None:
    make_bot().tick()
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    settings = BotSettings(workspace=database.parent, metrics_port=port)
    with watched(settings) as pulse:
        pulse.beat()
        assert get(port, "/healthz")[0] == 200
        assert b'deephypebot_bot_source_posts{status="done"} 3.0' in get(port, "/metrics")[1]
    with watched(settings.model_copy(update={"metrics_port": 0})), pytest.raises(urllib.error.URLError):
        get(port, "/healthz")


@pytest.mark.parametrize("host", ["127.0.0.2", "::1"])
def test_the_page_listens_on_the_address_that_is_asked_for(host: str) -> None:
    with serving(0, CollectorRegistry(), Pulse(patience_s=60), host=host) as port:
        shown = f"[{host}]" if ":" in host else host
        with urllib.request.urlopen(f"http://{shown}:{port}/healthz", timeout=5) as answer:
            assert answer.status == 200
        with pytest.raises(urllib.error.URLError):
            urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=5)
