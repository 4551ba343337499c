from __future__ import annotations

import pytest

from serving.traffic.exposures import ShadowOutcome
from serving.traffic.figures import BOUNDS_S, MAX_VERSIONS, RECENT_S, FigureBook, with_figures
from serving.wire import LiveModel, LiveVersion, live_models_from_message, live_models_to_message


class Clock:
    def __init__(self) -> None:
        self.s = 1000.0

    def __call__(self) -> float:
        return self.s


def test_percentiles_are_those_of_the_last_minutes() -> None:
    clock = Clock()
    figures = FigureBook(clock).of("lcgan", "2")
    assert figures.latency_ms(0.5) == 0
    for index in range(100):
        figures.add_answer(queue_s=0.001 * index, backend_s=0.001)
    assert figures.latency_ms(0.5) == pytest.approx(51)
    assert figures.latency_ms(0.95) == pytest.approx(96)
    clock.s += RECENT_S + 1
    assert figures.latency_ms(0.5) == 0
    figures.add_answer(queue_s=0.5, backend_s=0.5)
    assert (figures.latency_ms(0.5), figures.latency_ms(0.95)) == (1000, 1000)
    assert figures.answers == 101


def test_durations_fall_into_buckets_with_their_bound_included() -> None:
    figures = FigureBook().of("lcgan", "2")
    figures.add_answer(queue_s=0.001, backend_s=31.0)
    figures.add_answer(queue_s=0.0011, backend_s=0.5)
    assert figures.queue.buckets()[:2] == [("0.001", 1), ("0.0025", 2)]
    assert figures.queue.total_s == pytest.approx(0.0021)
    assert figures.backend.buckets()[-2:] == [("30.0", 1), ("+Inf", 2)]
    assert len(figures.backend.buckets()) == len(BOUNDS_S) + 1


def test_the_figures_of_a_version_stay_when_it_comes_back_and_their_number_is_bounded() -> None:
    clock = Clock()
    book = FigureBook(clock)
    book.of("lcgan", "live").add_error()
    for number in range(100):
        clock.s += 1
        book.of("lcgan", str(number)).add_shadow(ShadowOutcome.FAILED)
        book.of("lcgan", "live").add_error()
    kept = [version for model, version, _ in book if model == "lcgan"]
    assert len(kept) == MAX_VERSIONS
    assert book.of("lcgan", "live").errors == 101
    assert book.of("lcgan", "99").shadows[ShadowOutcome.FAILED] == 1
    assert book.find("lcgan", "3") is None
    book.of("cvae", "1")
    assert book.find("lcgan", "live") is not None, "each model has room of its own"


def test_descriptions_get_the_figures_of_their_versions_and_of_no_others() -> None:
    book = FigureBook()
    book.of("lcgan", "2").add_answer(queue_s=0.001, backend_s=0.009)
    book.of("lcgan", "2").add_error()
    book.of("lcgan", "3").add_shadow(ShadowOutcome.DROPPED_FULL)
    (model,) = with_figures((LiveModel(name="lcgan", champion="2", versions=tuple(map(live, "234"))),), book)
    two, three, four = model.versions
    assert (two.answers, two.errors) == (1, 1)
    assert [two.latency_p50_ms, two.latency_p95_ms] == pytest.approx([10, 10])
    assert two.shadow_outcomes == {}
    assert three.shadow_outcomes == {
        "answered": 0,
        "failed": 0,
        "dropped_full": 1,
        "dropped_busy": 0,
        "dropped_unable": 0,
    }
    assert four == live("4")
    assert live_models_from_message(live_models_to_message((model,))) == (model,)


def live(version: str) -> LiveVersion:
    return LiveVersion(
        version=version,
        archive_sha256="",
        aliases=(),
        in_flight=0,
        topics=(),
        desired_topic="",
        num_genres=1,
        batch_size=8,
    )
