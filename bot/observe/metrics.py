"""Prometheus metrics of the bot: those of its database, which no restart resets, and those of its process."""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import TypeVar

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from typing_extensions import override

from bot.domain.candidates import Decision
from bot.domain.errors import StoreError
from bot.domain.outgoing_posts import OutgoingPostStatus
from bot.domain.source_posts import SourcePostStatus
from bot.domain.spend import spend
from bot.observe.health import PassResult, Pulse
from bot.ports import StoreState
from foundation.version import project_version

_Key = TypeVar("_Key", bound=str)
_PREFIX = "deephypebot_bot"
_GIVEN = {Decision.ACCEPT: "accepted", Decision.REJECT: "rejected", Decision.UNDO: "undone"}
_IN_OUTBOX = (OutgoingPostStatus.PENDING, OutgoingPostStatus.SENDING, OutgoingPostStatus.UNKNOWN)


class StateCollector(Collector):
    """Collector of the metrics of a store.

    Args:
        read: returns the current state; while it fails, the metrics of the process alone are shown.
        now: returns the aware time.
        pulse: passes of this process; without it their metrics are missing.
        events: returns the events of verdicts since the start of the process, by what became of them.
    """

    def __init__(
        self,
        read: Callable[[], StoreState],
        now: Callable[[], datetime],
        *,
        pulse: Pulse | None = None,
        events: Callable[[], Mapping[str, int]] = dict,
    ) -> None:
        self._read = read
        self._now = now
        self._pulse = pulse
        self._events = events

    @override
    def collect(self) -> Iterable[Metric]:
        yield _build_info()
        if self._pulse is not None:
            yield from _passes(self._pulse)
        yield _told(self._events())
        try:
            state = self._read()
        except StoreError:
            yield _gauge("database_readable", "Whether the database can be read.", 0)
            return
        yield _gauge("database_readable", "Whether the database can be read.", 1)
        yield _by_status("source_posts", "Source posts, by status.", state.source_posts)
        yield _by_status("candidates", "Candidates in the queue, by verdict.", state.candidates)
        yield _by_status("outgoing_posts", "Outgoing posts, by status.", state.posts)
        in_outbox = sum(state.posts[status] for status in _IN_OUTBOX)
        yield _gauge("outbox_posts", "Accepted posts that are not known to be sent.", in_outbox)
        yield _gauge(
            "appends_in_doubt",
            "Candidates that may or may not have been appended to the board.",
            state.appends_in_doubt,
        )
        yield self._poll_ages(state)
        yield from _parse_ratio(state)
        yield from _verdicts(state)
        yield _refusals(state)
        yield _usage(state)
        yield _gauge("spend_this_month_dollars", "Estimated bill of the networks this month.", spend(state.usage))
        yield _odd_items(state)

    def _poll_ages(self, state: StoreState) -> Metric:
        ages = GaugeMetricFamily(f"{_PREFIX}_poll_age_seconds", "Time since a source was last read.", labels=["source"])
        for source, read_at in state.read_at.items():
            ages.add_metric([source], (self._now() - datetime.fromisoformat(read_at)).total_seconds())
        return ages


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(f"{_PREFIX}_{name}", text, value=value)


def _by_status(name: str, text: str, counts: Mapping[_Key, int]) -> Metric:
    family = GaugeMetricFamily(f"{_PREFIX}_{name}", text, labels=["status"])
    for status, count in counts.items():
        family.add_metric([str(status)], count)
    return family


def _build_info() -> Metric:
    family = GaugeMetricFamily(
        f"{_PREFIX}_build_info", "Constant 1, labelled by the versions in use.", labels=["version", "python"]
    )
    family.add_metric([project_version(), platform.python_version()], 1)
    return family


def _parse_ratio(state: StoreState) -> Iterable[Metric]:
    found = state.source_posts[SourcePostStatus.DONE] + state.source_posts[SourcePostStatus.FAILED]
    parsed = found + state.source_posts[SourcePostStatus.NO_SONG]
    if parsed:
        yield _gauge("parse_ratio", "Share of the source posts in which a song was found.", found / parsed)


def _passes(pulse: Pulse) -> Iterable[Metric]:
    passes = CounterMetricFamily(
        f"{_PREFIX}_passes", "Passes since the start of the process, by result.", labels=["result"]
    )
    for result in PassResult:
        passes.add_metric([result], pulse.passes[result])
    yield passes
    problems = CounterMetricFamily(
        f"{_PREFIX}_problems", "Passes since the start of the process in which a part failed.", labels=["part"]
    )
    for part, count in list(pulse.problems.items()):
        problems.add_metric([part], count)
    yield problems
    yield CounterMetricFamily(
        f"{_PREFIX}_gateway_errors",
        "Passes since the start of the process that ended early for want of the model server.",
        value=pulse.gateway_errors,
    )
    if pulse.last_good_at is not None:
        yield _gauge("last_good_pass_timestamp_seconds", "Time of the last pass without a problem.", pulse.last_good_at)


def _told(events: Mapping[str, int]) -> Metric:
    family = CounterMetricFamily(
        f"{_PREFIX}_events",
        "Events of verdicts since the start of the process that were sent, or lost because nobody took them.",
        labels=["outcome"],
    )
    for outcome, count in events.items():
        family.add_metric([outcome], count)
    return family


def _refusals(state: StoreState) -> Metric:
    family = CounterMetricFamily(
        f"{_PREFIX}_refused_posts", "Refusals of posts, by the bot or its network.", labels=["network", "reason"]
    )
    for (network, reason), count in state.refusals.items():
        family.add_metric([network, reason], count)
    return family


def _verdicts(state: StoreState) -> Iterable[Metric]:
    verdicts = CounterMetricFamily(
        f"{_PREFIX}_verdicts",
        "Verdicts given; one that is undone counts twice, those on an experiment's song when its last one is given.",
        labels=["model", "version", "verdict"],
    )
    for (model, version, decision), count in state.verdicts.items():
        verdicts.add_metric([model, version, _GIVEN[decision]], count)
    ratios = GaugeMetricFamily(
        f"{_PREFIX}_accept_ratio", "Accepted share of the candidates with a verdict.", labels=["model", "version"]
    )
    for tally in state.versions:
        labels = [tally.model, tally.model_version]
        if decided := tally.accepted + tally.rejected:
            ratios.add_metric(labels, tally.accepted / decided)
    yield verdicts
    yield ratios


def _odd_items(state: StoreState) -> Metric:
    family = CounterMetricFamily(
        f"{_PREFIX}_odd_items", "Rows, posts and answers that could not be read and were set aside.", labels=["part"]
    )
    for part, count in state.odd_items.items():
        family.add_metric([part], count)
    return family


def _usage(state: StoreState) -> Metric:
    family = GaugeMetricFamily(
        f"{_PREFIX}_usage_this_month", "Items that the networks may bill this month.", labels=["network", "item"]
    )
    for item, count in state.usage.items():
        network, _, kind = item.partition(" ")
        family.add_metric([network, kind], count)
    return family


def registry(collector: Collector) -> CollectorRegistry:
    """Return a registry that holds the bot's metrics alone."""
    own = CollectorRegistry(auto_describe=False)
    own.register(collector)
    return own
