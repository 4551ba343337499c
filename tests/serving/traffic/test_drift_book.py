from __future__ import annotations

import dataclasses
import logging
from datetime import UTC, datetime

import pytest

from serving.registry.contents import ArchiveInfo
from serving.traffic.drift import LEARNED_ANSWERS
from serving.traffic.drift_book import QUIET_S, DriftBook
from serving.traffic.figures import MAX_VERSIONS
from tests.serving.traffic.drifting import REFERENCE, TOPICS, Traffic
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
    (version, text), *others = book.untold("lcgan").items()
    assert (version, others) == ("2", [])
    assert text.startswith("unknown (2026-11-30T06:30Z): ")
    assert text.count("key ") == 5
    assert book.untold("cvae") == {}
    book.set_told("lcgan", "2", "another text")
    assert book.untold("lcgan") == {"2": text}
    book.set_told("lcgan", "2", text)
    assert book.untold("lcgan") == {}


def test_a_feature_alarms_once_a_day_and_another_one_at_any_time() -> None:
    clock = Clock()
    book = DriftBook(clock, now=lambda: AT)
    send(book, Traffic(seed=2, unseen=0.3), 3000, watched())
    assert list(book.alarms()) == [("lcgan", "2", "unknown", 1)]
    send(book, Traffic(seed=3, unseen=0.3, tokens=50), 500, watched())
    assert dict.fromkeys(feature for _, _, feature, _ in book.alarms()) == {"unknown": None, "length": None}
    assert len(book.untold("lcgan")["2"].splitlines()) == 2
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
