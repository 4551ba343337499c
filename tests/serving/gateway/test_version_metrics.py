from __future__ import annotations

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from serving.gateway.version_metrics import VersionMetrics
from serving.traffic.drift_book import DriftBook
from serving.traffic.exposures import ShadowOutcome
from serving.traffic.figures import MAX_VERSIONS, FigureBook

LABELS = ("model", "version", "outcome", "le")


def samples(book: FigureBook) -> dict[tuple[str, tuple[str, ...]], float]:
    registry = CollectorRegistry()
    registry.register(VersionMetrics(book, DriftBook()))
    page = generate_latest(registry).decode()
    found = [sample for family in text_string_to_metric_families(page) for sample in family.samples]
    return {
        (
            sample.name.removeprefix("deephypebot_gateway_"),
            tuple(sample.labels[name] for name in LABELS if name in sample.labels),
        ): sample.value
        for sample in found
    }


def test_answers_errors_durations_and_shadows_are_told_by_version() -> None:
    book = FigureBook()
    book.of("lcgan", "2").add_answer(queue_s=0.002, backend_s=0.2)
    book.of("lcgan", "2").add_answer(queue_s=0.004, backend_s=40.0)
    book.of("lcgan", "2").add_error()
    book.of("lcgan", "3").add_shadow(ShadowOutcome.DROPPED_BUSY)
    seen = samples(book)
    two, three = ("lcgan", "2"), ("lcgan", "3")
    assert (seen["answers_total", two], seen["errors_total", two]) == (2, 1)
    assert (seen["queue_seconds_count", two], seen["backend_seconds_count", two]) == (2, 2)
    assert seen["queue_seconds_sum", two] == 0.006
    assert seen["backend_seconds_bucket", (*two, "30.0")] == 1
    assert seen["backend_seconds_bucket", (*two, "+Inf")] == 2
    assert seen["shadows_total", (*three, "dropped_busy")] == 1
    assert seen["shadows_total", (*three, "answered")] == 0
    assert ("shadows_total", (*two, "answered")) not in seen, "it was never a shadow"


def test_versions_that_come_and_go_leave_a_bounded_number_of_series() -> None:
    book = FigureBook()
    for number in range(3 * MAX_VERSIONS):
        book.of("lcgan", str(number)).add_error()
    assert len([key for key in samples(book) if key[0] == "errors_total"]) == MAX_VERSIONS
