from __future__ import annotations

import dataclasses
import logging
from datetime import UTC, datetime
from pathlib import Path

import pytest

from handlers.contract import CommentaryRequest
from serving.registry.contents import ArchiveInfo
from serving.traffic.drift import LEARNED_ANSWERS
from serving.traffic.drift_book import QUIET_S, REMEMBERED_SONGS, DriftBook, _Songs
from serving.traffic.figures import MAX_VERSIONS
from serving.traffic.learned import LearnedReferences
from tests.serving.traffic.drifting import LABELS, REFERENCE, TOPICS, Traffic
from tests.serving.traffic.exposing import info

AT = datetime(2026, 11, 30, 6, 30, tzinfo=UTC)


class Clock:
    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def watched(version: str = "2", model: str = "lcgan", *, known: bool = True) -> ArchiveInfo:
    return dataclasses.replace(info(version, model), reference=REFERENCE if known else None, topics=TOPICS)


def send(book: DriftBook, traffic: Traffic, number: int, of: ArchiveInfo) -> None:
    for index, (request, answer) in enumerate(traffic.pairs(number)):
        book.note(of, request, answer, f"key {index}")


def test_an_alarm_is_told_in_the_log_counted_and_kept_for_the_tag(caplog: pytest.LogCaptureFixture) -> None:
    book = DriftBook(Clock(), now=lambda: AT)
    with caplog.at_level(logging.WARNING):
        send(book, Traffic(seed=1, unseen=0.3), 300, watched())
    (message,) = caplog.messages
    assert message.startswith("the traffic of lcgan/2 drifts: unknown: ")
    assert message.count("key ") == 5
    assert list(book.alarms()) == [("lcgan", "2", "unknown", 1)]
    (alarm,) = book.untold("lcgan")
    assert (alarm.model, alarm.version, alarm.feature) == ("lcgan", "2", "unknown")
    assert alarm.text.startswith("unknown (2026-11-30T06:30Z): ")
    assert alarm.text.count("key ") == 5
    assert book.untold("cvae") == ()
    book.set_told(dataclasses.replace(alarm, text="another text"))
    assert book.untold("lcgan") == (alarm,)
    book.set_told(alarm)
    assert book.untold("lcgan") == ()


def test_a_feature_alarms_once_a_day_and_another_one_at_any_time() -> None:
    clock = Clock()
    book = DriftBook(clock, now=lambda: AT)
    send(book, Traffic(seed=2, unseen=0.3), 3000, watched())
    assert list(book.alarms()) == [("lcgan", "2", "unknown", 1)]
    send(book, Traffic(seed=3, unseen=0.3, tokens=50), 500, watched())
    assert dict.fromkeys(feature for _, _, feature, _ in book.alarms()) == {"unknown": None, "length": None}
    assert sorted(alarm.feature for alarm in book.untold("lcgan")) == ["length", "unknown"]
    clock.now_s += QUIET_S
    send(book, Traffic(seed=4, unseen=0.3), 500, watched())
    assert ("lcgan", "2", "unknown", 2) in set(book.alarms())


def test_versions_are_watched_apart() -> None:
    book = DriftBook(Clock(), now=lambda: AT)
    send(book, Traffic(seed=5, unseen=0.3), 500, watched("2"))
    send(book, Traffic(seed=6), 500, watched("3"))
    assert list(book.alarms()) == [("lcgan", "2", "unknown", 1)]


def test_an_archive_without_a_reference_is_compared_with_its_first_answers() -> None:
    book = DriftBook(Clock(), now=lambda: AT)
    send(book, Traffic(seed=7, unseen=0.3), LEARNED_ANSWERS + 500, watched(known=False))
    assert list(book.alarms()) == [], "what was so from the beginning is not a drift"
    send(book, Traffic(seed=8, unseen=0.9), 300, watched(known=False))
    assert ("lcgan", "2", "unknown", 1) in set(book.alarms())


def test_what_was_learned_outlives_a_restart(tmp_path: Path) -> None:
    before = DriftBook(Clock(), now=lambda: AT, learned=LearnedReferences(tmp_path))
    send(before, Traffic(seed=7), LEARNED_ANSWERS, watched(known=False))
    after = DriftBook(Clock(), now=lambda: AT, learned=LearnedReferences(tmp_path))
    send(after, Traffic(seed=8, unseen=0.3), 300, watched(known=False))
    assert list(after.alarms()) == [("lcgan", "2", "unknown", 1)]
    other = dataclasses.replace(watched(known=False), sha256="c" * 64)
    forgetful = DriftBook(Clock(), now=lambda: AT, learned=LearnedReferences(tmp_path))
    send(forgetful, Traffic(seed=8, unseen=0.3), 300, other)
    assert list(forgetful.alarms()) == [], "another archive learns a reference of its own"


def test_a_song_that_is_asked_for_again_says_nothing_new() -> None:
    """A load test: 20 requests, all of the reference's rarest genres, a hundred times over."""
    answer = Traffic(seed=11).pair()[1]
    rare = [
        (
            CommentaryRequest(genres=LABELS[-3:], artist="The Loopbacks", title=f"Request {number % 20}"),
            dataclasses.replace(answer, genres_used=LABELS[-3:], genres_unknown=()),
        )
        for number in range(2000)
    ]
    repeated, distinct = DriftBook(Clock(), now=lambda: AT), DriftBook(Clock(), now=lambda: AT)
    for number, (request, response) in enumerate(rare):
        repeated.note(watched(), request, response, f"key {number}")
        # The same genres of as many songs are a drift.
        distinct.note(watched(), dataclasses.replace(request, title=f"Song {number}"), response, f"key {number}")
    assert list(repeated.alarms()) == []
    assert ("lcgan", "2", "genres", 1) in set(distinct.alarms())


def test_requests_without_a_song_are_never_repeats() -> None:
    book = DriftBook(Clock(), now=lambda: AT)
    answer = dataclasses.replace(Traffic(seed=12).pair()[1], genres_used=(), genres_unknown=("polka",))
    for number in range(300):
        book.note(watched(), CommentaryRequest(genres=("polka",)), answer, f"key {number}")
    assert ("lcgan", "2", "unknown", 1) in set(book.alarms())


def test_the_songs_that_are_remembered_are_bounded() -> None:
    """The oldest is forgotten first, so a song that comes again after a thousand others counts again."""
    songs = _Songs()
    asked = [CommentaryRequest(genres=("a",), artist="b", title=str(number)) for number in range(REMEMBERED_SONGS + 1)]
    assert all(songs.add(request) for request in asked)
    assert not songs.add(asked[1])
    assert songs.add(asked[0])
    assert songs.add(dataclasses.replace(asked[0], genres=("b",))), "with other genres it is another request"


def test_a_version_whose_archive_is_another_one_begins_anew() -> None:
    book = DriftBook(Clock(), now=lambda: AT)
    send(book, Traffic(seed=9, unseen=0.3), 300, watched())
    send(book, Traffic(seed=10), 1, dataclasses.replace(watched(), sha256="c" * 64))
    assert list(book.alarms()) == []


def test_the_versions_that_are_remembered_are_bounded() -> None:
    clock = Clock()
    book = DriftBook(clock, now=lambda: AT)
    for number in range(1, 100):
        clock.now_s += 1
        send(book, Traffic(seed=number, unseen=1.0), 60, watched(str(number)))
    kept = {int(version) for _, version, _, _ in book.alarms()}
    assert kept == set(range(100 - MAX_VERSIONS, 100))
