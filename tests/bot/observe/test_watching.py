"""Watching: what is wrong is seen from outside, and counters never fall."""

from __future__ import annotations

import os
import resource
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
from prometheus_client import generate_latest
from typer.testing import CliRunner

from bot.adapters.sqlite.probe import write_problem
from bot.adapters.sqlite.store import SqliteStore
from bot.domain.candidates import Decision, Verdict
from bot.domain.errors import BotError, NetworkUnavailableError, StoreError
from bot.domain.outgoing_posts import OutgoingPostStatus
from bot.entrypoints.cli import app_bot
from bot.entrypoints.foreground import beat
from bot.observe.health import Pulse
from bot.observe.metrics import StateCollector, registry
from bot.observe.watchdog import watched_by_systemd
from bot.ports import StoreState
from bot.services.service import Bot
from bot.services.summary import Summary
from tests.bot.helpers.blind_songs import VERSIONS, add_blind_song, decide
from tests.bot.helpers.table_board import fill

MakeBot = Callable[..., Bot]


@contextmanager
def full_disk() -> Iterator[None]:
    """No file of this process may grow: the system refuses to write, as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


def samples(read: Callable[[], StoreState], pulse: Pulse | None = None) -> dict[str, float]:
    text = generate_latest(registry(StateCollector(read, lambda: datetime.now(UTC), pulse=pulse))).decode()
    found = (line.rpartition(" ") for line in text.splitlines() if not line.startswith("#"))
    return {name.removeprefix("deephypebot_bot_"): float(value) for name, _, value in found}


def test_a_database_that_cannot_be_written_is_unhealthy_and_says_why(store: SqliteStore, database: Path) -> None:
    store.set_last_error(None)
    pulse = Pulse(patience_s=60, unwritable=lambda: write_problem(database))
    pulse.beat()
    assert pulse.as_document()["healthy"]
    with full_disk():
        document = pulse.as_document()
    assert not document["healthy"]
    assert str(database) in str(document["problem"])
    assert pulse.as_document()["healthy"]


def test_a_database_that_is_gone_is_unhealthy_and_one_that_is_busy_is_not(store: SqliteStore, tmp_path: Path) -> None:
    with store._writing():
        assert write_problem(store._path) == ""
    assert "cannot be written" in write_problem(tmp_path / "elsewhere.db")
    assert not (tmp_path / "elsewhere.db").exists()


def test_status_fails_while_the_database_cannot_be_written(store: SqliteStore, database: Path) -> None:
    store.set_last_error(None)
    arguments = ["status", "--workspace", str(database.parent), "--target", "127.0.0.1:9"]
    result = CliRunner().invoke(app_bot, arguments)
    assert result.exit_code == 0
    assert "good pass" in result.stdout
    with full_disk():
        failed = CliRunner().invoke(app_bot, arguments)
    assert isinstance(failed.exception, StoreError)


def test_status_fails_after_a_pass_that_failed_and_recovers(store: SqliteStore, database: Path) -> None:
    arguments = ["status", "--workspace", str(database.parent), "--target", "127.0.0.1:9"]
    store.set_last_error("the pass failed: disk I/O error", failed=True)
    failed = CliRunner().invoke(app_bot, arguments)
    assert isinstance(failed.exception, BotError)
    assert "disk I/O error" in str(failed.exception)
    store.set_last_error("x: 502")
    assert CliRunner().invoke(app_bot, arguments).exit_code == 0


def test_a_failed_pass_is_unhealthy_until_one_ends() -> None:
    pulse = Pulse(patience_s=60)
    beat(pulse, StoreError("full"), redact=str)
    assert pulse.as_document() == {"healthy": False, "seconds_since_pass": 0.0, "problem": "full"}
    beat(pulse, Summary(problems=["x: 502"], failed_parts=["x"]), redact=str)
    assert pulse.as_document()["healthy"]


def test_a_long_pass_is_healthy_while_its_work_proceeds() -> None:
    time = [0.0]
    pulse = Pulse(patience_s=60, now=lambda: time[0])
    for _ in range(10):
        time[0] += 50
        pulse.live()
    assert pulse.as_document()["healthy"]
    time[0] += 61
    assert pulse.hangs


def test_passes_are_counted_by_result_and_problems_by_part(store: SqliteStore) -> None:
    pulse = Pulse(patience_s=60)
    for result in (
        Summary(),
        Summary(problems=["x: 502", "board: full"], failed_parts=["x", "board"]),
        Summary(outage="away"),
        StoreError("full"),
    ):
        beat(pulse, result, redact=str)
    found = samples(store.state, pulse)
    assert [found[f'passes_total{{result="{result}"}}'] for result in ("good", "problems", "failed")] == [1, 2, 1]
    assert found['problems_total{part="board"}'] == 1
    assert found["gateway_errors_total"] == 1
    assert found["last_good_pass_timestamp_seconds"] == pytest.approx(datetime.now(UTC).timestamp(), abs=60)


def test_a_database_that_cannot_be_read_leaves_the_metrics_of_the_process() -> None:
    def read() -> StoreState:
        raise StoreError("gone")

    found = samples(read, Pulse(patience_s=60))
    assert found["database_readable"] == 0
    assert 'passes_total{result="good"}' in found


def test_verdicts_are_counted_as_they_are_given_and_never_fall(store: SqliteStore) -> None:
    first, second = fill(store, 2)
    for name, decision in ((first, "accept"), (second, "reject"), (first, "undo"), (first, "reject")):
        store.decide([Verdict(candidate_id=name, decision=Decision(decision), who="ana")])
    found = samples(store.state)
    labels = 'model="m",verdict="{}",version="1"'
    given = [found[f"verdicts_total{{{labels.format(one)}}}"] for one in ("accepted", "rejected", "undone")]
    assert given == [1, 2, 1]


def test_verdicts_on_a_song_of_an_experiment_are_counted_together_with_its_last_one(store: SqliteStore) -> None:
    ids = add_blind_song(store, "AB")

    def counts() -> list[int]:
        """Verdicts by version: accepted, rejected and undone ones of A, then those of B."""
        found = store.state().verdicts
        return [found.get(("lcgan", VERSIONS[arm], decision), 0) for arm in "AB" for decision in Decision]

    decide(store, ids[0])
    decide(store, ids[0], decision=Decision.REJECT)
    assert counts() == [0, 0, 0, 0, 0, 0]
    decide(store, ids[1])
    assert counts() == [1, 1, 0, 1, 0, 0]
    decide(store, ids[1], decision=Decision.REJECT)
    assert counts() == [1, 1, 0, 1, 1, 0], "everybody knows whose it is"
    decide(store, ids[0], decision=Decision.UNDO)
    decide(store, ids[1], decision=Decision.UNDO)
    decide(store, ids[1])
    assert counts() == [1, 1, 0, 1, 1, 0], "it waits again"
    decide(store, ids[0])
    assert counts() == [2, 1, 1, 2, 1, 1]


def test_refused_posts_are_counted_by_reason_without_what_differs_between_them(store: SqliteStore) -> None:
    names = fill(store, 60)
    store.decide([Verdict(candidate_id=name, decision=Decision.ACCEPT, who="ana") for name in names])
    store.enqueue_accepted(since=datetime(2020, 1, 1, tzinfo=UTC))
    for number, name in enumerate(names[:2]):
        store.set_post(name, OutgoingPostStatus.REFUSED, reason=f"X answered 403: the post {number} is a duplicate")
    assert samples(store.state)['refused_posts_total{network="",reason="X answered #: the post # is a duplicate"}'] == 2
    for name in names[2:]:
        store.set_post(name, OutgoingPostStatus.REFUSED, reason=f"odd word {'x' * names.index(name)}")
    refusals = store.state().refusals
    assert len(refusals) == 51
    assert sum(refusals.values()) == 60


def test_the_problem_of_a_part_that_is_paused_stays_the_last_error(make_bot: MakeBot) -> None:
    bot = make_bot()
    bot._schedule.failed("board", NetworkUnavailableError("the sheet is full"))
    summary = Summary()
    assert not bot._attempt("board", summary, threading.Event(), lambda: None)
    assert summary.waiting == ["board: the sheet is full"]


def test_the_outputs_get_their_turn_within_a_long_pass(make_bot: MakeBot) -> None:
    turns: list[int] = []
    bot = make_bot(outputs_every_s=0.0, concurrency=1)
    write_out = bot._write_out

    def counted(summary: Summary, stop: threading.Event) -> None:
        turns.append(summary.source_posts_done)
        write_out(summary, stop)

    bot._write_out = counted  # type: ignore[method-assign]
    bot.tick()
    assert turns[0] < turns[-1] == 3


def said(service: socket.socket) -> bytes:
    """The next message; empty if none comes in time."""
    try:
        return service.recv(99)
    except TimeoutError:
        return b""


def test_systemd_is_told_that_the_bot_is_ready_lives_and_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    address = tmp_path / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as service:
        service.bind(str(address))
        service.settimeout(5)
        monkeypatch.setenv("NOTIFY_SOCKET", str(address))
        monkeypatch.setenv("WATCHDOG_USEC", "60000")
        monkeypatch.setenv("WATCHDOG_PID", str(os.getpid()))
        time = [0.0]
        pulse = Pulse(patience_s=60, now=lambda: time[0])
        with watched_by_systemd(pulse):
            assert [service.recv(99) for _ in range(3)] == [b"READY=1", b"WATCHDOG=1", b"WATCHDOG=1"]
            time[0] = 61.0  # the bot hangs
            service.settimeout(0.2)
            while said(service) == b"WATCHDOG=1":
                pass
            assert said(service) == b""
            service.settimeout(5)
        assert service.recv(99) == b"STOPPING=1"


def test_without_systemd_nothing_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    with watched_by_systemd(Pulse(patience_s=1)):
        pass
