"""Verdicts told to those who watch the models: which, when, in which order, and what is never told."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import generate_latest

from bot.adapters.sqlite.desk import SqliteDesk
from bot.adapters.sqlite.store import SqliteStore
from bot.domain.candidates import Decision, RejectReason, Verdict
from bot.observe.metrics import StateCollector, registry
from bot.observe.telemetry import telemetry
from bot.ports import Correction, EvaluationEvents, SongLabel, SongQuery
from bot.services.evaluations import EvaluationTeller
from tests.bot.helpers.blind_songs import EXPOSURES, TRACE, VERSIONS, add_blind_song, decide, told
from tests.bot.helpers.table_board import fill
from tests.serving.collector import Collector, ReceivedEvent, collecting


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[Collector]:
    monkeypatch.setenv("OTEL_LOGS_EXPORTER", "otlp")
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "none")
    monkeypatch.setenv("OTEL_BLRP_SCHEDULE_DELAY", "20")
    with collecting() as collector:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
        yield collector


def tell(store: SqliteStore, collector: Collector) -> list[ReceivedEvent]:
    """Events of one pass of a bot that ends after it."""
    before, due = len(collector.events), len(store.evaluations_due(1000))
    with telemetry() as events:
        assert events is not None
        EvaluationTeller(store=store, events=events).run()
        wait_until_sent(events, due)
    return collector.events[before:]


def wait_until_sent(events: EvaluationEvents, number: int) -> None:
    """Wait here: the end of the block gives the last events two seconds, and a busy machine may need more."""
    deadline = time.monotonic() + 20
    while events.counts()["sent"] < number:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def facts(events: list[ReceivedEvent], name: str) -> list[Any]:
    return [event.attributes.get(name) for event in events]


def labels(events: list[ReceivedEvent]) -> list[tuple[str, str]]:
    return [
        (event.attributes["deephypebot.candidate.id"], event.attributes["gen_ai.evaluation.score.label"])
        for event in events
    ]


def test_each_verdict_is_an_event_of_the_conventions_told_once_in_order(
    store: SqliteStore, collector: Collector
) -> None:
    first, second, third = fill(store, 3)
    store.decide(
        [
            Verdict(candidate_id=first, decision=Decision.ACCEPT, who="bo"),
            Verdict(candidate_id=second, decision=Decision.ACCEPT, who="bo", edited_text="my own secret words"),
            Verdict(candidate_id=third, decision=Decision.REJECT, who="bo", reason=RejectReason.DULL),
        ]
    )
    events = tell(store, collector)
    assert {(event.name, event.service) for event in events} == {("gen_ai.evaluation.result", "deephypebot-bot")}
    assert labels(events) == [(first, "accepted"), (second, "edited"), (third, "rejected")]
    assert facts(events, "gen_ai.evaluation.score.value") == [1.0, 1.0, 0.0]
    assert facts(events, "gen_ai.evaluation.explanation") == [None, None, "dull or heard before"]
    assert set(facts(events, "gen_ai.evaluation.name")) == {"curator_verdict"}
    assert set(facts(events, "gen_ai.response.model")) == {"m/1"}
    assert tell(store, collector) == []


def test_an_undo_and_a_changed_mind_are_events_after_the_verdict_and_an_undo_has_no_value(
    store: SqliteStore, collector: Collector
) -> None:
    (name,) = fill(store, 1)
    for decision in (Decision.ACCEPT, Decision.UNDO, Decision.REJECT, Decision.ACCEPT):
        decide(store, name, decision=decision)
    events = tell(store, collector)
    assert [label for _, label in labels(events)] == ["accepted", "undone", "rejected", "accepted"]
    assert facts(events, "gen_ai.evaluation.score.value") == [1.0, None, 0.0, 1.0]


def test_no_event_tells_the_song_the_text_the_curator_or_a_reason_in_free_words(
    store: SqliteStore, collector: Collector
) -> None:
    (name,) = fill(store, 1)
    row = store.find([name])[0]
    for reason in ("because Ana said so", ""):
        store.decide(
            [Verdict(candidate_id=name, decision=Decision.REJECT, who="curator-bo", reason=reason, edited_text="edit")]
        )
    written = repr(tell(store, collector))
    assert "rejected" in written
    report = row.candidate.report
    for secret in ("Ana", "curator-bo", "edit'", row.text, report.artist, report.song.title, row.source_post.text):
        assert secret not in written


def test_nothing_of_an_experiments_song_is_told_before_its_last_verdict(
    store: SqliteStore, collector: Collector
) -> None:
    first, second = add_blind_song(store, "AB")
    decide(store, first)
    assert tell(store, collector) == []
    assert told(repr(collector)) == []
    decide(store, second, decision=Decision.REJECT)
    events = tell(store, collector)
    assert labels(events) == [(first, "accepted"), (second, "rejected")]
    assert facts(events, "gen_ai.response.model") == [f"lcgan/{VERSIONS['A']}", f"lcgan/{VERSIONS['B']}"]
    assert facts(events, "gen_ai.response.id") == [EXPOSURES["A"], EXPOSURES["B"]]
    assert facts(events, "deephypebot.experiment") == ["autumn", "autumn"]
    assert [event.trace_id for event in events] == [TRACE, TRACE]


def test_an_undo_makes_the_song_wait_again_also_with_what_was_not_told_by_then(
    store: SqliteStore, collector: Collector
) -> None:
    first, second = add_blind_song(store, "AB")
    decide(store, first, second)
    decide(store, second, decision=Decision.UNDO)  # before a pass
    assert tell(store, collector) == []
    decide(store, second, decision=Decision.REJECT)
    assert labels(tell(store, collector)) == [
        (first, "accepted"),
        (second, "accepted"),
        (second, "undone"),
        (second, "rejected"),
    ]


def test_candidates_of_a_wrong_song_are_withdrawn_which_says_nothing_about_the_model(
    store: SqliteStore, collector: Collector
) -> None:
    names = add_blind_song(store, "AB")
    with SqliteDesk(store._path) as desk:
        (song,) = desk.songs(SongQuery()).songs
        seen = {row.row.candidate.id: row.verdict_id for row in song.rows}
        desk.correct(Correction(place=song.place, label=SongLabel.NO_SONG, who="ana", seen=seen))
    events = tell(store, collector)
    assert labels(events) == [(name, "withdrawn") for name in names]
    assert facts(events, "gen_ai.evaluation.score.value") == [None, None]
    assert facts(events, "gen_ai.evaluation.explanation") == ["no song", "no song"]


def test_verdicts_that_were_given_while_nobody_wanted_any_are_not_told_later(
    store: SqliteStore, collector: Collector
) -> None:
    first, second = fill(store, 2)
    decide(store, first)
    EvaluationTeller(store=store, events=None).run()
    decide(store, second)
    assert labels(tell(store, collector)) == [(second, "accepted")]


def test_a_bot_with_a_collector_sends_the_verdict_that_another_process_gave(
    database: Path, collector: Collector, tmp_path: Path
) -> None:
    """The whole bot, as the command builds it."""
    from bot.bootstrap.build import build
    from bot.settings import load

    feed = tmp_path / "feed.jsonl"
    feed.write_text("", encoding="utf-8")
    with SqliteStore(database) as studio:
        (name,) = fill(studio, 1)
        decide(studio, name)
    settings = load(feed=feed, workspace=database.parent)
    with telemetry() as events, build(settings, events=events) as bot:
        bot.tick()
        assert events is not None
        wait_until_sent(events, 1)
    assert labels(collector.events) == [(name, "accepted")]
    with SqliteStore(database) as store:
        collected = StateCollector(store.state, lambda: datetime.now(UTC), events=events.counts)
        page = generate_latest(registry(collected))
    assert 'deephypebot_bot_events_total{outcome="sent"} 1.0' in page.decode()
